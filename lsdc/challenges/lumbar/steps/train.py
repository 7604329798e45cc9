"""The steps from crops to trained folds and their out-of-fold score."""

import logging

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.oof import score_oof, show_scores
from lsdc.challenges.lumbar.stages.training import train_fold as train_one_fold
from lsdc.challenges.lumbar.steps.prepare import STAGES, Prepared
from lsdc.store.manifest import Manifest
from tasks.dispatch import TrainingJob, train_on_workers, trains_on_gpu_pool
from tasks.interrupts import ended_with_the_flow
from tasks.prefect_runs import result_of
from tasks.versions import installed_versions

log = logging.getLogger("lsdc.training")


def train_and_score(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds, then score all trained folds out of fold."""
    trained = with_earlier_folds(run, prepared, dispatch_folds(run, prepared))
    score_oof(run, prepared.folds, trained)
    show_scores(run)
    return trained


def with_earlier_folds(
    run: LumbarRun, prepared: Prepared, trained: list[Manifest]
) -> list[Manifest]:
    """Add earlier folds that are still valid, so that a single fold is not scored alone."""
    whole = run.model_copy(update={"only_fold": None})
    found = dict(zip(run.folds_to_train, trained, strict=True))
    for fold in whole.folds_to_train:
        inputs = whole, fold, prepared.crops, prepared.folds
        if fold not in found and train_one_fold.find(*inputs):
            found[fold] = train_one_fold(*inputs)
            log.info("fold %d: trained earlier and still valid, so it is scored as well", fold)
    return [found[fold] for fold in sorted(found)]


def dispatch_folds(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the folds in one run each on other workers, or here if there are none."""
    if not trains_on_gpu_pool():
        return train_here(run, prepared)
    inputs = {fold: (run, fold, prepared.crops, prepared.folds) for fold in run.folds_to_train}
    missing = [fold for fold in inputs if not train_one_fold.find(*inputs[fold])]
    jobs = [
        TrainingJob(
            "train-fold/default", f"fold {fold}", train_one_fold, inputs[fold], {"fold": fold}
        )
        for fold in missing
    ]
    sent = train_on_workers(run, jobs, installed_versions(STAGES))
    trained = dict(zip(missing, sent, strict=True))
    return [trained.get(fold) or train_one_fold(*inputs[fold]) for fold in inputs]


def train_here(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the folds in this flow run, as many in parallel as the machine has room for."""
    trained: list[Manifest] = []
    with ended_with_the_flow():
        for side_by_side in run.fold_groups:
            begun = [
                train_one_fold.submit(run, fold, prepared.crops, prepared.folds)
                for fold in side_by_side
            ]
            trained += [result_of(fold) for fold in begun]
    return trained
