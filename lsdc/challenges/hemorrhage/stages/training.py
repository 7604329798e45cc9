"""Training: a slice model for each fold, then a sequence model that reads what it says."""

from collections.abc import Mapping
from typing import Any

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.training.train_fold import FoldJob
from lsdc.challenges.hemorrhage.training.train_sequence import RESULTS, SequenceJob
from lsdc.challenges.hemorrhage.training.train_sequence import train_sequence as fit_sequence
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import FACTS
from tasks.common.folds import (
    LIBRARIES,
    RESUMES,
    digest_needed,
    fit_whatever_the_views,
    job_settings,
    training_uses,
)
from tasks.common.models import needed_weights
from tasks.common.trainings import training_in
from tasks.stage import stage


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    run: HemorrhageRun = inputs["run"]
    return {
        **run.parts("name", "slices", "sampling", "augment", "model", "loss", "tta"),
        **training_uses(run),
        "vectors": run.has_sequence,
        "start_from": digest_needed(needed_weights(run, inputs["fold"])),
    }


@stage(
    "train",
    code=("lsdc.challenges.hemorrhage.training.train_fold",),
    libraries=LIBRARIES,
    uses=_uses,
    run_name="fold {fold}",
    retries=1,
    resumes=RESUMES,
)
def train_fold(run: HemorrhageRun, fold: int, slices: Manifest, folds: Manifest) -> Manifest:
    """Train a fold's slice model, and predict the images held out of it.

    A fold that this or another run has trained already, but predicted with other views (`tta`), is
    only predicted.
    """

    def job(key: str) -> FoldJob:
        return FoldJob(
            experiment=run.experiment,
            fold=fold,
            out=run.fold(fold),
            identity=key,
            start_from=needed_weights(run, fold),
            **_inputs(run, slices, folds),
            **job_settings(run, run.place_of(fold, run.folds_to_train)),
        )

    return fit_whatever_the_views(run, train_fold, (fold, slices, folds), job)


@stage(
    "sequence",
    code=("lsdc.challenges.hemorrhage.training.train_sequence",),
    libraries=("numpy", "scikit-learn", "torch"),
    uses=lambda inputs: {
        **inputs["run"].parts("name", "slices", "sampling", "model", "loss", "sequence"),
        "precision": inputs["run"].experiment.training.precision,
        "seed": inputs["run"].seed,
    },
    run_name="sequence {fold}",
    retries=1,
    resumes=RESUMES,
)
def train_sequence(
    run: HemorrhageRun, fold: int, slices: Manifest, folds: Manifest, trained: Manifest
) -> Manifest:
    """Train a fold's sequence model on what its slice model says of each slice, and predict."""
    key = train_sequence.key(run, fold, slices, folds, trained)
    place = run.place_of(fold, run.folds_to_train)
    job = SequenceJob(
        experiment=run.experiment,
        fold=fold,
        fold_folder=run.at_home(trained).folder(run.root),
        out=run.sequence(fold),
        identity=key,
        seed=run.seed,
        device=place.device,
        threads=place.threads,
        workers=place.workers,
        **_inputs(run, slices, folds),
    )
    with training_in(run, job.out, key, f"sequence {fold}") as on_event:
        fit_sequence(job, log=run.home.logs / "children.log", on_event=on_event)
    return make_manifest(
        run.root, "sequence", job.out, rows=1, names=RESULTS, key=key, notes=[FACTS]
    )


def _inputs(run: HemorrhageRun, slices: Manifest, folds: Manifest) -> dict[str, Any]:
    """Return the files that both models are trained on."""
    return {
        "slices": slices.folder(run.root),
        "labels": folds.file(run.root, "labels.parquet"),
        "folds": folds.file(run.root, "folds.parquet"),
        "holdout": folds.file(run.root, "holdout.parquet"),
    }
