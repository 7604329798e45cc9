"""The steps from prepared slices to trained folds and their out-of-fold score."""

import logging
from collections.abc import Callable, Mapping, Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.stages.oof import score_oof
from lsdc.challenges.hemorrhage.stages.training import train_fold, train_sequence
from lsdc.challenges.hemorrhage.steps.prepare import STAGES, Prepared
from lsdc.store.manifest import Manifest
from tasks.common.scores import show_losses
from tasks.common.trainings import dispatch, train_in_parallel
from tasks.dispatch import TrainingJob, trains_on_gpu_pool

log = logging.getLogger("lsdc.training")

Do = Callable[[HemorrhageRun, Sequence[TrainingJob]], list[Manifest]]


def train_and_score(run: HemorrhageRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds, then score all trained folds out of fold."""
    do: Do = _on_workers if trains_on_gpu_pool() else train_in_parallel
    trained = with_earlier_folds(run, prepared, _train(run, prepared, do))
    score_oof(run, prepared.index, prepared.folds, _last(run, trained))
    show_losses(run)
    return trained


def train_here(run: HemorrhageRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds in this flow run."""
    return _train(run, prepared, train_in_parallel)


def _train(run: HemorrhageRun, prepared: Prepared, do: Do) -> list[Manifest]:
    """Return the slice models of the requested folds, then their sequence models, if any."""
    folds = do(run, [fold_job(run, prepared, fold) for fold in run.folds_to_train])
    if not run.has_sequence:
        return folds
    by_fold = dict(zip(run.folds_to_train, folds, strict=True))
    return [*folds, *do(run, [sequence_job(run, prepared, *each) for each in by_fold.items()])]


def _on_workers(run: HemorrhageRun, jobs: Sequence[TrainingJob]) -> list[Manifest]:
    return dispatch(run, jobs, STAGES)


def fold_job(run: HemorrhageRun, prepared: Prepared, fold: int) -> TrainingJob:
    """Return the training of a fold's slice model."""
    inputs = (run, fold, prepared.slices, prepared.folds)
    return TrainingJob("train-fold/default", f"fold {fold}", train_fold, inputs, {"fold": fold})


def sequence_job(
    run: HemorrhageRun, prepared: Prepared, fold: int, trained: Manifest
) -> TrainingJob:
    """Return the training of a fold's sequence model."""
    inputs = (run, fold, prepared.slices, prepared.folds, trained)
    name = f"sequence {fold}"
    return TrainingJob("train-fold/default", name, train_sequence, inputs, {"fold": fold})


def with_earlier_folds(
    run: HemorrhageRun, prepared: Prepared, trained: Sequence[Manifest]
) -> list[Manifest]:
    """Add earlier folds that are still valid, so that a single fold is not scored alone."""
    folds, sequences = split_models(run, trained)
    whole = run.model_copy(update={"only_fold": None})
    found = dict(zip(run.folds_to_train, folds, strict=True))
    read = dict(zip(run.folds_to_train, sequences, strict=False))
    for fold in whole.folds_to_train:
        if fold in found or (earlier := _find(fold_job(whole, prepared, fold))) is None:
            continue
        if run.has_sequence:
            sequence = _find(sequence_job(whole, prepared, fold, earlier))
            if sequence is None:
                continue
            read[fold] = sequence
        found[fold] = earlier
        log.info("fold %d: trained earlier and still valid, so it is scored as well", fold)
    return [*_in_order(found), *_in_order(read)]


def split_models(
    run: HemorrhageRun, trained: Sequence[Manifest]
) -> tuple[list[Manifest], list[Manifest]]:
    """Return the slice models of the folds, and their sequence models, if any."""
    half = len(trained) // 2 if run.has_sequence else len(trained)
    return [*trained[:half]], [*trained[half:]]


def _last(run: HemorrhageRun, trained: Sequence[Manifest]) -> list[Manifest]:
    """Return the models whose predictions are the run's."""
    folds, sequences = split_models(run, trained)
    return sequences or folds


def _find(job: TrainingJob) -> Manifest | None:
    return job.stage(*job.inputs) if job.stage.find(*job.inputs) else None


def _in_order(by_fold: Mapping[int, Manifest]) -> list[Manifest]:
    return [by_fold[fold] for fold in sorted(by_fold)]
