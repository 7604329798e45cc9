"""The steps from prepared volumes to trained folds, their maps and their out-of-fold score."""

from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.stages.maps import predict_fold
from lsdc.challenges.ink.stages.oof import score_oof
from lsdc.challenges.ink.stages.training import train_fold
from lsdc.challenges.ink.steps.prepare import STAGES, Prepared
from lsdc.store.manifest import Manifest
from tasks.common.scores import show_losses
from tasks.common.trainings import (
    Train,
    find_trained,
    on_workers_or_here,
    train_in_parallel,
    training_of_fold,
    with_earlier_folds,
)
from tasks.dispatch import TrainingJob

Fold = tuple[Manifest, Manifest]
"""The model of a fold, and its maps of the regions that the fold holds out."""


def train_and_score(run: InkRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds and predict their regions, then score all trained folds."""

    def find(whole: InkRun, fold: int) -> Fold | None:
        model = find_trained(fold_job(whole, prepared, fold))
        maps = None if model is None else find_trained(maps_job(whole, prepared, fold, model))
        return None if model is None or maps is None else (model, maps)

    folds = with_earlier_folds(run, _train(run, prepared, on_workers_or_here(STAGES)), find)
    models, maps = ([*each] for each in zip(*folds, strict=True))
    score_oof(run, prepared.volumes, prepared.folds, models, maps)
    show_losses(run)
    return models


def train_here(run: InkRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds in this flow run, and predict their regions."""
    return [each for fold in _train(run, prepared, train_in_parallel) for each in fold]


def _train(run: InkRun, prepared: Prepared, train: Train) -> list[Fold]:
    """Train the models of the requested folds, then predict the regions that they hold out."""
    models = train(run, [fold_job(run, prepared, fold) for fold in run.folds_to_train])
    by_fold = zip(run.folds_to_train, models, strict=True)
    maps = train(run, [maps_job(run, prepared, *each) for each in by_fold])
    return list(zip(models, maps, strict=True))


def fold_job(run: InkRun, prepared: Prepared, fold: int) -> TrainingJob:
    """Return the training of a fold's model."""
    return training_of_fold("fold", train_fold, run, fold, prepared.volumes, prepared.folds)


def maps_job(run: InkRun, prepared: Prepared, fold: int, trained: Manifest) -> TrainingJob:
    """Return the prediction of the regions that a fold holds out."""
    inputs = (prepared.volumes, prepared.folds, trained)
    return training_of_fold("maps", predict_fold, run, fold, *inputs)
