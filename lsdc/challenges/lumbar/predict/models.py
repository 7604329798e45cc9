"""The models of a finished run, and all else that a prediction needs from the run."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.coordinates.learn import USUAL
from lsdc.challenges.lumbar.results import RunResults, load_run
from lsdc.challenges.lumbar.scoring.prior import prior_table
from lsdc.errors import DataError

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class TrainedModels:
    """What a prediction needs from a run: weights, settings and the prior.

    Attributes:
        name: the name of the run.
        experiment: the settings of the run.
        folds: the number of each fold that was trained, with the folder of its weights.
        points: the folder of the models that find the level points, and of their `usual.json`.
        prior: the weighted prior of the training labels: condition, level, three probabilities.
    """

    name: str
    experiment: Experiment
    folds: dict[int, Path]
    points: Path
    prior: pl.DataFrame


def models_of_run(home: Path, name: str) -> TrainedModels:
    """Find the models of a run.

    Args:
        home: the home of the run.
        name: the name of the run.

    Raises:
        DataError: there is no home, or the run lacks something that predictions need.
        SettingsError: there is no such run.
    """
    run = load_run(home, name)
    folds = {fold: run.folder / f"fold-{fold}" for fold in run.trained_folds}
    lacking = [fold for fold, folder in folds.items() if not (folder / WEIGHTS).is_file()]
    if lacking:
        raise DataError(
            f"run {name}: no {WEIGHTS} in {', '.join(str(folds[fold]) for fold in lacking)}, "
            "expected the weights of every scored fold; run the same command again"
        )
    return TrainedModels(name, run.experiment, folds, _points_of(run), prior_table(run.labels))


def _points_of(run: RunResults) -> Path:
    """Return the folder of the run's point models.

    Raises:
        DataError: the run has none, as if its points came from annotations only.
    """
    try:
        folder = run.point_models
    except DataError as error:
        raise DataError(
            f"run {run.name}: no result of the stage coordinates with {USUAL}, so the run lacks "
            "the models that find the level points on studies without annotations; run the same "
            "command again"
        ) from error
    if not any(folder.glob("fold-*-*.safetensors")):
        raise DataError(
            f"{folder}: no fold-K-VIEWS.safetensors, so run {run.name} lacks the models that find "
            "the level points on studies without annotations (its points came from annotations "
            "only); delete this folder and run the same command again"
        )
    return folder
