"""Training: a model for each fold."""

from collections.abc import Mapping
from typing import Any

from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.training.train_fold import FoldJob
from lsdc.store.manifest import Manifest
from tasks.common.folds import (
    LIBRARIES,
    RESUMES,
    digest_needed,
    fit_fold,
    job_settings,
    training_uses,
)
from tasks.common.models import needed_weights
from tasks.stage import stage


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    run: InkRun = inputs["run"]
    return {
        **run.parts("name", "volume", "tiles", "sampling", "augment", "model", "loss"),
        **training_uses(run),
        "gap_px": run.experiment.gap_px,
        "start_from": digest_needed(needed_weights(run, inputs["fold"])),
    }


@stage(
    "train",
    code=("lsdc.challenges.ink.training.train_fold",),
    libraries=(*LIBRARIES, "monai"),
    uses=_uses,
    run_name="fold {fold}",
    retries=1,
    resumes=RESUMES,
)
def train_fold(run: InkRun, fold: int, volumes: Manifest, folds: Manifest) -> Manifest:
    """Train a fold's model on what is far enough from the regions that it holds out."""
    job = FoldJob(
        experiment=run.experiment,
        fold=fold,
        volumes=volumes.folder(run.root),
        regions=folds.file(run.root, "regions.parquet"),
        folds=folds.file(run.root, "folds.parquet"),
        out=run.fold(fold),
        identity=train_fold.key(run, fold, volumes, folds),
        start_from=needed_weights(run, fold),
        **job_settings(run, run.place_of(fold, run.folds_to_train)),
    )
    return fit_fold(run, train_fold.name, job)
