"""Training: a slice model for each fold, then a sequence model that reads what it says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsdc.challenges.hemorrhage.config.tta import TtaConfig
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.training.files import PREDICTED, WEIGHTS
from lsdc.challenges.hemorrhage.training.train_fold import FoldJob
from lsdc.challenges.hemorrhage.training.train_fold import train_fold as fit_fold
from lsdc.challenges.hemorrhage.training.train_sequence import RESULTS, SequenceJob
from lsdc.challenges.hemorrhage.training.train_sequence import train_sequence as fit_sequence
from lsdc.challenges.hemorrhage.training.trial import TrialJob, try_model
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import FACTS
from tasks.common.trainings import training_in
from tasks.identity import needed_fold, pretrained_digests
from tasks.results import compute_once, find_result
from tasks.run import TRAINING_CHANGES_NO_RESULT
from tasks.stage import stage

_LIBRARIES = ("albumentations", "numpy", "opencv-python-headless", "timm", "torch")
TRAINING = "training"  # results without predictions, by the key of the stage without views
TRIED = "tried-models.json"  # in the home: models that passed the trial
_RESUMES = 20  # each resumes after the previous one was asked to stop


def _needed_weights(run: HemorrhageRun, fold: int) -> Path | None:
    """Return the same fold's weights of another experiment, which this one starts from."""
    needed = run.experiment.needs.weights
    return None if needed is None else needed_fold(run, needed, fold) / WEIGHTS


def require_model(run: HemorrhageRun, *, trained_here: bool) -> None:
    """Refuse a model that cannot be trained, before any data is prepared for it.

    Other training hosts check their own devices and hub cache. Given weights are checked here,
    since the run's results depend on them. Finished folds need no hub.

    Raises:
        SettingsError: the backbone, its weights, the image size or the device is unusable.
        StageError: the trial process died.
    """
    config, fold = run.experiment.model, run.folds_to_train[0]
    place = run.place_of(fold, run.folds_to_train)
    start_from = _needed_weights(run, fold)
    is_trained = all((run.fold(each) / FACTS).is_file() for each in run.folds_to_train)
    at_hand = run.weights is not None or (trained_here and not is_trained)
    try_model(
        TrialJob(
            experiment=run.experiment,
            weights=run.weights,
            pretrained=at_hand and config.pretrained and start_from is None,
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
        **run.parts("name", "slices", "sampling", "augment", "model", "loss", "tta"),
        "training": run.experiment.training.model_dump(exclude=TRAINING_CHANGES_NO_RESULT),
        "vectors": run.has_sequence,
        "weights": pretrained_digests(run),
        "start_from": digest_file(start_from) if start_from is not None and is_there else None,
        "seed": run.seed,
    }


@stage(
    "train",
    code=("lsdc.challenges.hemorrhage.training.train_fold",),
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="fold {fold}",
    retries=1,
    resumes=_RESUMES,
)
def train_fold(run: HemorrhageRun, fold: int, slices: Manifest, folds: Manifest) -> Manifest:
    """Train a fold's slice model, and predict the images held out of it.

    A fold that this or another run has trained already, but predicted with other views (`tta`), is
    only predicted.
    """
    plain = _without_views(run)
    inputs = fold, slices, folds
    key = train_fold.key(plain, *inputs)
    has_views = plain.experiment != run.experiment
    if has_views and find_result(run, TRAINING, key, Manifest) is None:
        train_fold.find(plain, *inputs)  # copies it into the run's folder
    place = run.place_of(fold, run.folds_to_train)
    job = FoldJob(
        experiment=run.experiment,
        fold=fold,
        out=run.fold(fold),
        identity=key,
        start_from=_needed_weights(run, fold),
        weights=run.weights,
        device=place.device,
        beside=place.beside,
        threads=place.threads,
        workers=place.workers,
        **_common(run, slices, folds),
    )
    with training_in(run, job.out, key, job.name) as on_event:
        fit_fold(job, log=run.home.logs / "children.log", on_event=on_event)
    if has_views:
        trained = _describe(run, "train", job.out, job.trained, key)
        compute_once(run, TRAINING, key, Manifest, lambda: trained)
    return _describe(run, "train", job.out, (*job.trained, *PREDICTED), key)


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
    resumes=_RESUMES,
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
        device=place.device,
        threads=place.threads,
        workers=place.workers,
        **_common(run, slices, folds),
    )
    with training_in(run, job.out, key, f"sequence {fold}") as on_event:
        fit_sequence(job, log=run.home.logs / "children.log", on_event=on_event)
    return _describe(run, "sequence", job.out, RESULTS, key)


def _without_views(run: HemorrhageRun) -> HemorrhageRun:
    """Return the run without test-time augmentation, on which no weight depends."""
    experiment = run.experiment.model_copy(update={"tta": TtaConfig()})
    return run.model_copy(update={"experiment": experiment})


def _common(run: HemorrhageRun, slices: Manifest, folds: Manifest) -> dict[str, Any]:
    """Return what the jobs of both models have in common."""
    return {
        "slices": slices.folder(run.root),
        "labels": folds.file(run.root, "labels.parquet"),
        "folds": folds.file(run.root, "folds.parquet"),
        "holdout": folds.file(run.root, "holdout.parquet"),
        "seed": run.seed,
    }


def _describe(run: HemorrhageRun, name: str, out: Path, names: Sequence[str], key: str) -> Manifest:
    return make_manifest(run.root, name, out, rows=1, names=names, key=key, notes=[FACTS])
