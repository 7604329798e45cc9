"""The model of a run: the weights that it starts from, and its trial before any data is read."""

from collections.abc import Callable
from pathlib import Path

from lsdc.jobs.trial import BaseTrialJob, try_model
from lsdc.training.trained_fold import FACTS, WEIGHTS
from tasks.dispatch import trains_on_gpu_pool
from tasks.identity import needed_fold
from tasks.run import Run

TRIED = "tried-models.json"  # in the home: models that passed the trial


def needed_weights(run: Run, fold: int) -> Path | None:
    """Return the same fold's weights of another experiment, which this one starts from."""
    needed = run.experiment.needs.weights
    return None if needed is None else needed_fold(run, needed, fold) / WEIGHTS


def require_model(run: Run, trial: Callable[..., BaseTrialJob]) -> None:
    """Refuse a model that cannot be trained, before any data is prepared for it.

    If other workers train, they check their own devices and hub cache. Given weights are checked
    here, since the run's results depend on them. Finished folds need no hub.

    Args:
        run: the run.
        trial: the class of the challenge's trials.

    Raises:
        SettingsError: the backbone, its weights, the image size or the device is unusable.
        StageError: the trial process died.
    """
    fold, trained_here = run.folds_to_train[0], not trains_on_gpu_pool()
    place, start_from = run.place_of(fold, run.folds_to_train), needed_weights(run, fold)
    is_trained = all((run.fold(each) / FACTS).is_file() for each in run.folds_to_train)
    at_hand = run.weights is not None or (trained_here and not is_trained)
    try_model(
        trial(
            experiment=run.experiment,
            weights=run.weights,
            pretrained=at_hand and bool(run.experiment.pretrained_backbones) and start_from is None,
            start_from=start_from,
            device=place.device if trained_here else "cpu",
            threads=place.threads,
        ),
        kept=run.home.root / TRIED,
        log=run.home.logs / "children.log",
    )
