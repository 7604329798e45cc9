"""The steps from prepared slices to trained folds and their out-of-fold score."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.stages.oof import score_oof
from lsdc.challenges.hemorrhage.stages.training import train_fold, train_sequence
from lsdc.challenges.hemorrhage.steps.prepare import STAGES, Prepared
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

Models = tuple[Manifest, ...]
"""The models of a fold: that of slices, then that of their sequence, if there is one."""


def train_and_score(run: HemorrhageRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds, then score all trained folds out of fold."""

    def find(whole: HemorrhageRun, fold: int) -> Models | None:
        trained = find_trained(fold_job(whole, prepared, fold))
        if trained is None:
            return None
        if not run.has_sequence:
            return (trained,)
        sequence = find_trained(sequence_job(whole, prepared, fold, trained))
        return None if sequence is None else (trained, sequence)

    models = with_earlier_folds(run, _train(run, prepared, on_workers_or_here(STAGES)), find)
    score_oof(run, prepared.index, prepared.folds, [each[-1] for each in models])
    show_losses(run)
    return list_models(models)


def train_here(run: HemorrhageRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds in this flow run."""
    return list_models(_train(run, prepared, train_in_parallel))


def _train(run: HemorrhageRun, prepared: Prepared, train: Train) -> list[Models]:
    """Train the slice models of the requested folds, then their sequence models, if any."""
    folds = train(run, [fold_job(run, prepared, fold) for fold in run.folds_to_train])
    if not run.has_sequence:
        return [(each,) for each in folds]
    by_fold = zip(run.folds_to_train, folds, strict=True)
    sequences = train(run, [sequence_job(run, prepared, *each) for each in by_fold])
    return list(zip(folds, sequences, strict=True))


def list_models(models: Sequence[Models]) -> list[Manifest]:
    """Return the slice models of all folds, then their sequence models; see `split_models`."""
    return [each for kind in zip(*models, strict=True) for each in kind]


def fold_job(run: HemorrhageRun, prepared: Prepared, fold: int) -> TrainingJob:
    """Return the training of a fold's slice model."""
    return training_of_fold("fold", train_fold, run, fold, prepared.slices, prepared.folds)


def sequence_job(
    run: HemorrhageRun, prepared: Prepared, fold: int, trained: Manifest
) -> TrainingJob:
    """Return the training of a fold's sequence model."""
    inputs = (prepared.slices, prepared.folds, trained)
    return training_of_fold("sequence", train_sequence, run, fold, *inputs)


def split_models(
    run: HemorrhageRun, trained: Sequence[Manifest]
) -> tuple[list[Manifest], list[Manifest]]:
    """Return the slice models of the folds, and their sequence models, if any."""
    half = len(trained) // 2 if run.has_sequence else len(trained)
    return [*trained[:half]], [*trained[half:]]
