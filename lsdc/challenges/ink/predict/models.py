"""The models of a finished run, and all else that a prediction needs from the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.masks.rule import Rule
from lsdc.challenges.ink.masks.rules import RULES, Rules
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE
from lsdc.training.trained_fold import WEIGHTS


@dataclass(frozen=True)
class TrainedModels:
    """What a prediction needs from a run: weights, settings and the rule for masks.

    Attributes:
        name: the name of the run.
        experiment: the settings of the run.
        folds: the number of each fold that was trained, with the folder of its model.
        rule: the rule by which masks are made, fitted on all folds.
    """

    name: str
    experiment: Experiment
    folds: Mapping[int, Path]
    rule: Rule

    @property
    def weights(self) -> list[Path]:
        """The files of all models."""
        return [folder / WEIGHTS for folder in self.folds.values()]


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
    _file(run, RULES)
    folds = {fold: home.fold(name, fold) for fold in scored}
    models = TrainedModels(name, experiment, folds, Rules.read(run).final)
    lacking = [path for path in models.weights if not path.is_file()]
    if lacking:
        raise DataError(
            f"run {name}: no {', '.join(map(str, lacking))}, expected the weights of every scored "
            "fold; run the same command again"
        )
    return models


def _file(run: Path, name: str) -> Path:
    path = run / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; run the same command again to complete the run")
    return path
