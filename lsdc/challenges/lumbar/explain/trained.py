"""A run's trained folds, and what else of the run its explanations need."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl
from pydantic import ValidationError

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.report.study import StudyResults, gather_study
from lsdc.challenges.lumbar.results import require_own_models
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.store.garbage import pinned_results
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE, list_runs


class NamedRun(Protocol):
    """A run of a home, finished or active, such as `LumbarRun` or `RunResults`."""

    @property
    def home(self) -> Home:
        """The home of the run."""

    @property
    def name(self) -> str:
        """The name of its folder in `runs/`."""


class Sample(NamedTuple):
    """The crops of a level of a study, or of one of its sides with crops.by_side."""

    study_id: int
    level: str
    side: str | None


class TrainedRun:
    """The trained folds of a run and its results.

    Raises:
        DataError: the home has no results of such a run, or those of another version.
    """

    def __init__(self, home: Home, name: str) -> None:
        self.home, self.name = home, name
        self.folder = home.run(name)
        self.experiment = _read_experiment(home, name)
        require_own_models(name, self.experiment.members)
        self.results = pinned_results(home, name)

    @cached_property
    def trained(self) -> dict[int, Path]:
        """The folders of the trained folds by number."""
        found = {
            int(path.parent.name.removeprefix("fold-")): path.parent
            for path in self.folder.glob("fold-*/model.safetensors")
        }
        return dict(sorted(found.items()))

    @cached_property
    def fold_of(self) -> dict[int, int]:
        """The fold of each study that is in a fold."""
        folds = self.table("folds")
        if folds.is_empty():
            raise self._missing("the table of folds")
        return dict(folds.select("study_id", "fold").iter_rows())

    def table(self, name: str) -> pl.DataFrame:
        """Return the rows of a table of all results; without columns if none has it."""
        files = [path for path in (r / f"{name}.parquet" for r in self.results) if path.is_file()]
        tables = [read_parquet(file) for file in files]
        return pl.concat(tables, how="diagonal") if tables else pl.DataFrame()

    def gather(self, study: int) -> StudyResults:
        """Gather a study's results for display.

        Raises:
            DataError: the run has no such study, or its index is missing.
        """
        if not any((result / "instances.parquet").is_file() for result in self.results):
            raise self._missing("the tables of its images")
        return gather_study(study, self.results, self.experiment.slices)

    def folds_for(self, study: int, split: str) -> tuple[int, ...]:
        """Return the folds that may predict a study: those that were not trained on it.

        These are its own fold, or all trained folds if it is in none (a test study, or one that
        `--holdout` kept out).

        Raises:
            DataError: such a fold is not trained, or its model was removed.
        """
        fold = self.fold_of.get(study) if split == "train" else None
        if fold is None and self.trained:
            return tuple(self.trained)
        if fold is not None and fold in self.trained:
            return (fold,)
        which = "no fold is trained" if fold is None else f"fold {fold} has no model"
        there = ", ".join(map(str, self.trained)) or "none"
        raise DataError(
            f"run {self.name}: {which} to predict study {study}, trained folds: {there}; train it "
            "with the same 'lsdc run-local' again"
        )

    def rows(self, split: str) -> dict[Sample, int]:
        """Return the row of each sample of a split in `crops.npy`; none without such studies."""
        found = self._crops.get(split)
        if found is None:
            return {}
        named = found[1].select("study_id", "level", "side", "row")
        return {Sample(*name): row for *name, row in named.iter_rows()}

    def crops(self, split: str) -> Path:
        """Return the folder with the crops of a split.

        Raises:
            DataError: they are missing.
        """
        if split not in self._crops:
            raise self._missing(f"the crops of the {split} studies")
        return self._crops[split][0]

    @cached_property
    def _crops(self) -> dict[str, tuple[Path, pl.DataFrame]]:
        """The folder and the table of the samples of each split."""
        found = {}
        for result in self.results:
            if (result / "crops.npy").is_file():
                samples = read_parquet(result / "samples.parquet")
                for (split,), own in samples.group_by("split"):
                    found[str(split)] = result, own
        return found

    def _missing(self, what: str) -> DataError:
        return DataError(
            f"run {self.name}: {what} are missing in {self.home.root}, perhaps removed by hand; "
            "compute them with the same 'lsdc run-local' again"
        )


def _read_experiment(home: Home, name: str) -> Experiment:
    """Return the run's experiment from its own record rather than the present preset."""
    path = home.run(name) / EXPERIMENT_FILE
    if not path.is_file():
        there = [each for each in list_runs(home) if (home.run(each) / EXPERIMENT_FILE).is_file()]
        raise DataError(
            f"{home.root}: no results of a run named {name}; choose {', '.join(there)}"
            if there
            else f"{home.root}: no results of any run, expected those of {name}; compute them with "
            "'lsdc run-local', or choose another --home"
        )
    try:
        return Experiment.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{path}: expected settings written by this version of lsdc, got those of another "
            "version; run the same 'lsdc run-local' again to update them"
        ) from error
