"""Access a run's results from programs and notebooks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.coordinates.learn import USUAL
from lsdc.challenges.lumbar.crops.frames import show_crops
from lsdc.errors import DataError, SettingsError
from lsdc.store import runs
from lsdc.store.exact_names import read_parquet
from lsdc.store.garbage import pinned_results
from lsdc.store.home import Home, open_home

if TYPE_CHECKING:
    from lsdc.training.models.model import SliceModel


@dataclass(frozen=True)
class Crops:
    """The crops of one level of a study, as the model sees them.

    Attributes:
        images: (slices, height, width), stored grey values.
        present: (slices,) whether there is a slice; the others are masked.
        side: `left` or `right` if the sample covers one side, else None.
        labels: condition and grade (0, 1, 2 or null), one row per condition.
    """

    images: NDArray[Any]
    present: NDArray[np.bool_]
    side: str | None
    labels: pl.DataFrame


class RunResults:
    """The results of a run: scores, out-of-fold table, crops and models.

    >>> run = load_run("lsdc-home", "demo")                    # doctest: +SKIP
    >>> run.scores["score"]                                    # doctest: +SKIP
    0.4514
    >>> (crops,) = run.crops(26575970, "l4_l5")                # doctest: +SKIP
    >>> crops.images.shape                                     # doctest: +SKIP
    (25, 48, 48)
    """

    def __init__(self, home: Home, name: str) -> None:
        self.home, self.name = home, name
        self.folder = home.run(name)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment's configuration as recorded by the run."""
        return Experiment.model_validate_json(self._file(runs.EXPERIMENT_FILE).read_bytes())

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The content of `scores.json`: the score, its parts, by fold, and the weighted prior's."""
        scores: dict[str, Any] = json.loads(self._file("scores.json").read_text(encoding="utf-8"))
        return scores

    @cached_property
    def oof(self) -> pl.DataFrame:
        """Out-of-fold predictions, a table `lsdc.challenges.lumbar.scoring.oof.OutOfFold`."""
        return read_parquet(self._file("oof.parquet"))

    @cached_property
    def labels(self) -> pl.DataFrame:
        """The labels of the studies in folds: study_id, condition, level, grade."""
        return read_parquet(self._result("folds") / "labels.parquet")

    @cached_property
    def samples(self) -> pl.DataFrame:
        """The training samples: row, study_id, level, side and mask."""
        return read_parquet(self._crops / "samples.parquet").filter(split="train").drop("split")

    def crops(self, study_id: int, level: str) -> list[Crops]:
        """Return the crops of a level of a study: one sample, or one per side.

        Args:
            study_id: the id of a training study.
            level: the name of a level, such as `l4_l5`.

        Raises:
            DataError: the run has no such sample.
        """
        rows = self.samples.filter(study_id=study_id, level=level)
        if rows.is_empty():
            raise DataError(
                f"run {self.name}: no crops of study {study_id}, level {level}; see `samples` for "
                "all crops"
            )
        mask = np.array(rows["mask"].to_list(), dtype=bool)
        shown = show_crops(self._crops, rows["row"].to_list(), mask)
        labels = self.labels.filter(study_id=study_id, level=level).select("condition", "grade")
        return [
            Crops(slices, kept, side, labels)
            for slices, kept, side in zip(shown, mask, rows["side"], strict=True)
        ]

    def model(self, fold: int) -> "SliceModel":
        """Load the trained model of a fold, in evaluation mode, on the CPU.

        It takes slices (n, slices, height, width) and a mask (n, slices), and returns its outputs,
        of which `grades` are the logits (n, conditions, grades).

        Raises:
            DataError: the fold is not trained.
        """
        from lsdc.challenges.lumbar.training.network import build_model
        from lsdc.training.checkpoint import restore_weights

        require_own_models(self.name, self.experiment.members)
        weights = self._file(f"fold-{fold}/model.safetensors")
        model = build_model(self.experiment, pretrained=False)
        restore_weights(model, weights, of=self.experiment.name)
        return model.eval()

    @property
    def point_models(self) -> Path:
        """The folder with the models that find the level points.

        Raises:
            DataError: the run has no such models.
        """
        return self._result("coordinates")

    @property
    def trained_folds(self) -> list[int]:
        """The folds whose models made the out-of-fold table, in ascending order."""
        return sorted(self.oof["fold"].unique().to_list())

    @cached_property
    def _crops(self) -> Path:
        return self._result("crops")

    def _result(self, stage: str) -> Path:
        """Return the folder of the run's first result of a stage, that of the training studies."""
        if stage in ("coordinates", "crops"):
            require_own_models(self.name, self.experiment.members)
        for folder in pinned_results(self.home, self.name):
            if folder.parent.name == stage and self._is_of_training(folder):
                return folder
        raise DataError(
            f"run {self.name}: no result of the stage {stage}; run the same command again"
        )

    def _is_of_training(self, folder: Path) -> bool:
        if folder.parent.name == "coordinates":
            return (folder / USUAL).is_file()
        samples = folder / "samples.parquet"
        return not samples.is_file() or "train" in read_parquet(samples, ["split"])["split"]

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise DataError(f"{path}: no such file; run the same command again to complete the run")
        return path


def require_own_models(run: str, members: Sequence[str]) -> None:
    """Refuse an ensemble, where models, points or crops are asked for.

    Raises:
        DataError: the run has members.
    """
    if members:
        raise DataError(
            f"run {run}: an ensemble of {', '.join(members)}, which has no models, points and "
            "crops of its own; name the run of a member"
        )


def list_runs(home: Path | str = "lsdc-home") -> list[str]:
    """Return the names of the runs in a home.

    Raises:
        DataError: the home does not exist.
    """
    return list(runs.list_runs(_open(home)))


def load_run(home: Path | str, name: str) -> RunResults:
    """Load the results of a run.

    Args:
        home: the folder given as `--home`.
        name: one of `list_runs(home)`.

    Raises:
        DataError: the home does not exist.
        SettingsError: the run does not exist.
    """
    opened = _open(home)
    if name not in runs.list_runs(opened):
        there = ", ".join(runs.list_runs(opened)) or "none"
        raise SettingsError(f"{opened.root}: no run named {name!r}, found: {there}")
    return RunResults(opened, name)


def _open(home: Path | str) -> Home:
    root = Path(home)
    if not (root / "home.json").is_file():
        raise DataError(f"{root}: no home of lsdc, expected a folder that was used as --home")
    return open_home(root)
