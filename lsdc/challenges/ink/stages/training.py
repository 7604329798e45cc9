"""Training: a model for each fold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.training.train_fold import FoldJob
from lsdc.challenges.ink.training.trial import TrialJob
from lsdc.jobs.fold import train_fold as fit_fold
from lsdc.jobs.trial import try_model
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import FACTS
from tasks.common.trainings import training_in
from tasks.identity import needed_fold, pretrained_digests
from tasks.run import TRAINING_CHANGES_NO_RESULT
from tasks.stage import stage

_LIBRARIES = ("albumentations", "numpy", "opencv-python-headless", "timm", "torch")
WEIGHTS = "model.safetensors"
TRIED = "tried-models.json"  # in the home: models that passed the trial
_RESUMES = 20  # each resumes after the previous one was asked to stop


def _needed_weights(run: InkRun, fold: int) -> Path | None:
    """Return the same fold's weights of another experiment, which this one starts from."""
    needed = run.experiment.needs.weights
    return None if needed is None else needed_fold(run, needed, fold) / WEIGHTS


def require_model(run: InkRun, *, trained_here: bool) -> None:
    """Refuse a model that cannot be trained, before any data is prepared for it.

    Raises:
        SettingsError: the backbone, its weights, the size of a tile or the device is unusable.
        StageError: the trial process died.
    """
    fold = run.folds_to_train[0]
    place, start_from = run.place_of(fold, run.folds_to_train), _needed_weights(run, fold)
    is_trained = all((run.fold(each) / FACTS).is_file() for each in run.folds_to_train)
    at_hand = run.weights is not None or (trained_here and not is_trained)
    pretrained = bool(run.experiment.pretrained_backbones)
    try_model(
        TrialJob(
            experiment=run.experiment,
            weights=run.weights,
            pretrained=at_hand and pretrained and start_from is None,
            start_from=start_from,
            device=place.device if trained_here else "cpu",
            threads=place.threads,
        ),
        kept=run.home.root / TRIED,
        log=run.home.logs / "children.log",
    )


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    run, fold = inputs["run"], inputs["fold"]
    start_from = _needed_weights(run, fold)
    is_there = start_from is not None and start_from.is_file()
    return {
        **run.parts("name", "volume", "tiles", "sampling", "augment", "model", "loss"),
        "gap_px": run.experiment.gap_px,
        "training": run.experiment.training.model_dump(exclude=TRAINING_CHANGES_NO_RESULT),
        "weights": pretrained_digests(run),
        "start_from": digest_file(start_from) if start_from is not None and is_there else None,
        "seed": run.seed,
    }


@stage(
    "train",
    code=("lsdc.challenges.ink.training.train_fold",),
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="fold {fold}",
    retries=1,
    resumes=_RESUMES,
)
def train_fold(run: InkRun, fold: int, volumes: Manifest, folds: Manifest) -> Manifest:
    """Train a fold's model on what is far enough from the regions that it holds out."""
    key = train_fold.key(run, fold, volumes, folds)
    place = run.place_of(fold, run.folds_to_train)
    job = FoldJob(
        experiment=run.experiment,
        fold=fold,
        volumes=volumes.folder(run.root),
        regions=folds.file(run.root, "regions.parquet"),
        folds=folds.file(run.root, "folds.parquet"),
        out=run.fold(fold),
        identity=key,
        seed=run.seed,
        start_from=_needed_weights(run, fold),
        weights=run.weights,
        device=place.device,
        beside=place.beside,
        threads=place.threads,
        workers=place.workers,
    )
    with training_in(run, job.out, key, job.name) as on_event:
        fit_fold(job, log=run.home.logs / "children.log", on_event=on_event)
    return make_manifest(
        run.root, "train", job.out, rows=1, names=job.trained, key=key, notes=[FACTS]
    )
