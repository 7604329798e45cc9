"""The steps from prepared volumes to trained folds, their maps and their out-of-fold score."""

import logging
from collections.abc import Callable, Sequence

from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.stages.maps import predict_fold
from lsdc.challenges.ink.stages.oof import score_oof
from lsdc.challenges.ink.stages.training import train_fold
from lsdc.challenges.ink.steps.prepare import STAGES, Prepared
from lsdc.store.manifest import Manifest
from tasks.common.scores import show_losses
from tasks.common.trainings import dispatch, train_in_parallel
from tasks.dispatch import TrainingJob, trains_on_gpu_pool

log = logging.getLogger("lsdc.training")

Do = Callable[[InkRun, Sequence[TrainingJob]], list[Manifest]]
ByFold = dict[int, Manifest]


def train_and_score(run: InkRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds and predict their regions, then score all trained folds."""
    do: Do = _on_workers if trains_on_gpu_pool() else train_in_parallel
    trained, maps = _with_earlier_folds(run, prepared, *_train(run, prepared, do))
    score_oof(run, prepared.volumes, prepared.folds, trained, maps)
    show_losses(run)
    return [trained[fold] for fold in sorted(trained)]


def train_here(run: InkRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds in this flow run, and predict their regions."""
    trained, maps = _train(run, prepared, train_in_parallel)
    return [*trained.values(), *maps.values()]


def _train(run: InkRun, prepared: Prepared, do: Do) -> tuple[ByFold, ByFold]:
    """Return the models of the requested folds, and the maps of the regions they hold out."""
    wanted = run.folds_to_train
    folds = do(run, [fold_job(run, prepared, fold) for fold in wanted])
    trained = dict(zip(wanted, folds, strict=True))
    maps = do(run, [maps_job(run, prepared, fold, trained[fold]) for fold in wanted])
    return trained, dict(zip(wanted, maps, strict=True))


def _on_workers(run: InkRun, jobs: Sequence[TrainingJob]) -> list[Manifest]:
    return dispatch(run, jobs, STAGES)


def fold_job(run: InkRun, prepared: Prepared, fold: int) -> TrainingJob:
    """Return the training of a fold's model."""
    inputs = (run, fold, prepared.volumes, prepared.folds)
    return TrainingJob("train-fold/default", f"fold {fold}", train_fold, inputs, {"fold": fold})


def maps_job(run: InkRun, prepared: Prepared, fold: int, trained: Manifest) -> TrainingJob:
    """Return the prediction of the regions that a fold holds out."""
    inputs = (run, fold, prepared.volumes, prepared.folds, trained)
    return TrainingJob("train-fold/default", f"maps {fold}", predict_fold, inputs, {"fold": fold})


def _with_earlier_folds(
    run: InkRun, prepared: Prepared, trained: ByFold, maps: ByFold
) -> tuple[ByFold, ByFold]:
    """Add earlier folds that are still valid, so that a single fold is not scored alone."""
    whole = run.model_copy(update={"only_fold": None})
    for fold in whole.folds_to_train:
        if fold in trained or (model := _find(fold_job(whole, prepared, fold))) is None:
            continue
        if (predicted := _find(maps_job(whole, prepared, fold, model))) is None:
            continue
        trained[fold], maps[fold] = model, predicted
        log.info("fold %d: trained earlier and still valid, so it is scored as well", fold)
    return trained, maps


def _find(job: TrainingJob) -> Manifest | None:
    return job.stage(*job.inputs) if job.stage.find(*job.inputs) else None
