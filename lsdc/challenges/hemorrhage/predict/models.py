"""The models of a finished run, and all else that a prediction needs from the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.scoring.prior import SMOOTHING, label_shares
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.store.garbage import pinned_results
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE
from lsdc.training.trained_fold import WEIGHTS


@dataclass(frozen=True)
class TrainedModels:
    """What a prediction needs from a run: weights, settings and the prior.

    Attributes:
        name: the name of the run.
        experiment: the settings of the run.
        folds: the number of each fold that was trained, with the folder of its slice model.
        sequences: the same with the folder of its sequence model; empty if the run has none.
        prior: the share of the training images that have each label.
    """

    name: str
    experiment: Experiment
    folds: Mapping[int, Path]
    sequences: Mapping[int, Path]
    prior: Mapping[str, float]

    @property
    def weights(self) -> list[Path]:
        """The files of all models."""
        return [folder / WEIGHTS for folder in (*self.folds.values(), *self.sequences.values())]


def models_of_run(home: Home, name: str) -> TrainedModels:
    """Find the models of a run.

    Args:
        home: the home of the run.
        name: the name of the run.

    Raises:
        DataError: the run lacks something that predictions need.
    """
    run = home.run(name)
    experiment = Experiment.model_validate_json(_file(run, EXPERIMENT_FILE).read_bytes())
    scored = sorted(read_parquet(_file(run, "oof.parquet"), ["fold"])["fold"].unique())
    kinds = ["fold", "sequence"] if experiment.sequence.kind != "none" else ["fold"]
    found = {kind: {fold: run / f"{kind}-{fold}" for fold in scored} for kind in kinds}
    models = TrainedModels(
        name, experiment, found["fold"], found.get("sequence", {}), _prior(home, name)
    )
    lacking = [path for path in models.weights if not path.is_file()]
    if lacking:
        raise DataError(
            f"run {name}: no {', '.join(map(str, lacking))}, expected the weights of every scored "
            "fold; run the same command again"
        )
    return models


def _prior(home: Home, name: str) -> dict[str, float]:
    for folder in pinned_results(home, name):
        if folder.parent.name == "folds":
            return label_shares(read_parquet(folder / "labels.parquet"), SMOOTHING)
    raise DataError(f"run {name}: no result of the stage folds; run the same command again")


def _file(run: Path, name: str) -> Path:
    path = run / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; run the same command again to complete the run")
    return path
