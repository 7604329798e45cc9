"""Training: one process and one device per fold, resumed from its checkpoint if killed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lsdc.challenges.lumbar.config.tta import TtaConfig
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.training.train_fold import RESULTS, TRAINED, FoldJob
from lsdc.challenges.lumbar.training.train_fold import train_fold as fit_fold
from lsdc.challenges.lumbar.training.trial import TrialJob, try_model
from lsdc.errors import ChildDiedError, InterruptedRunError, ResumeLaterError
from lsdc.run_context import run_context
from lsdc.store.files import digest_file
from lsdc.store.home import fold_lock
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.store.put_aside import claim_fold
from lsdc.training.events import Event
from lsdc.training.process import OnEvent
from lsdc.training.trained_fold import FACTS
from tasks.identity import needed_fold, pretrained_digests
from tasks.progress import event_callback
from tasks.results import compute_once, find_result, sync_checkpoints
from tasks.run import TRAINING_CHANGES_NO_RESULT
from tasks.stage import stage

log = logging.getLogger("lsdc.training")

TRAINING = "training"  # results without predictions, by the key of the stage without views
TRIED = "tried-models.json"  # in the home: models that passed the trial
_RESUMES = 20  # each resumes after the previous one was asked to stop


def _needed_weights(run: LumbarRun, fold: int) -> Path | None:
    """Return the same fold's weights of another experiment, which this one starts from."""
    needed = run.experiment.needs.weights
    return None if needed is None else needed_fold(run, needed, fold) / "model.safetensors"


def _needed_labels(run: LumbarRun, fold: int) -> Path | None:
    """Return the same fold's predictions of another experiment, which fill empty labels."""
    needed = run.experiment.needs.labels
    return None if needed is None else needed_fold(run, needed, fold) / "unlabelled.parquet"


def _digest(path: Path | None) -> str | None:
    return digest_file(path) if path and path.is_file() else None


def require_model(run: LumbarRun, *, trained_here: bool) -> None:
    """Refuse a model that cannot be trained, before any data is prepared for it.

    Other training hosts check their own devices and hub cache. Given weights are checked here,
    since the run's results depend on them. Finished folds need no hub.

    Raises:
        SettingsError: the backbone, its weights, the image size or the device is unusable.
        StageError: the trial process died.
    """
    config, fold = run.experiment.model, run.folds_to_train[0]
    start_from = _needed_weights(run, fold)
    is_trained = all((run.fold(each) / "fit.json").is_file() for each in run.folds_to_train)
    at_hand = run.weights is not None or (trained_here and not is_trained)
    try_model(
        TrialJob(
            experiment=run.experiment,
            weights=run.weights,
            pretrained=at_hand and config.pretrained and start_from is None,
            start_from=start_from,
            device=run.fold_device(fold) if trained_here else "cpu",
            threads=run.fold_threads,
        ),
        kept=run.home.root / TRIED,
        log=run.home.logs / "children.log",
    )


def takes_hub_weights(run: LumbarRun) -> bool:
    """Return whether the models start from timm's weights, which the training host provides."""
    experiment = run.experiment
    return experiment.model.pretrained and experiment.needs.weights is None and run.weights is None


@stage(
    "train",
    code=("lsdc.challenges.lumbar.training.train_fold",),
    libraries=("albumentations", "numpy", "opencv-python-headless", "timm", "torch"),
    uses=lambda inputs: {
        **inputs["run"].parts(
            *("name", "slices", "crops", "model", "labels", "augment", "loss", "tta")
        ),
        "training": inputs["run"].experiment.training.model_dump(
            exclude=TRAINING_CHANGES_NO_RESULT
        ),
        "start_from": _digest(_needed_weights(inputs["run"], inputs["fold"])),
        "fill_from": _digest(_needed_labels(inputs["run"], inputs["fold"])),
        "weights": pretrained_digests(inputs["run"]),
        "seed": inputs["run"].seed,
    },
    run_name="fold {fold}",
    retries=1,
    resumes=_RESUMES,
)
def train_fold(run: LumbarRun, fold: int, crops: Manifest, folds: Manifest) -> Manifest:
    """Train a fold's model and predict the studies held out of it.

    A fold that this or another run has trained already, but predicted with other views (`tta`), is
    only predicted.
    """
    plain = _without_views(run)
    key = train_fold.key(plain, fold, crops, folds)
    if find_result(run, TRAINING, key, Manifest) is None and plain.experiment != run.experiment:
        train_fold.find(plain, fold, crops, folds)  # copies it into the run's folder
    with fold_lock(run.fold(fold), say=log.warning):
        result = _train(run, key, fold, crops, folds)
    if plain.experiment != run.experiment:
        trained = _describe(run, run.fold(fold), key, TRAINED)
        compute_once(run, TRAINING, key, Manifest, lambda: trained)
    return result


def _without_views(run: LumbarRun) -> LumbarRun:
    """Return the run without test-time augmentation, on which no weight depends."""
    experiment = run.experiment.model_copy(update={"tta": TtaConfig()})
    return run.model_copy(update={"experiment": experiment})


def _train(run: LumbarRun, key: str, fold: int, crops: Manifest, folds: Manifest) -> Manifest:
    """Train and predict a fold; `key` is that of the training alone."""
    out = claim_fold(run.home, run.name, fold, key, say=log.warning)
    with _not_tried_again_at_the_end(), sync_checkpoints(run, key, out) as share:
        job = FoldJob(
            experiment=run.experiment,
            fold=fold,
            crops=crops.folder(run.root),
            labels=folds.file(run.root, "labels.parquet"),
            folds=folds.file(run.root, "folds.parquet"),
            holdout=folds.file(run.root, "holdout.parquet"),
            out=out,
            identity=key,
            seed=run.seed,
            device=run.fold_device(fold),
            threads=run.fold_threads,
            workers=run.fold_workers,
            start_from=_needed_weights(run, fold),
            fill_from=_needed_labels(run, fold),
            weights=run.weights,
        )
        on_event = _both(event_callback(f"fold {fold}"), share)
        fit_fold(job, log=run.home.logs / "children.log", on_event=on_event)
    return _describe(run, out, key, RESULTS)


def _describe(run: LumbarRun, folder: Path, key: str, names: Sequence[str]) -> Manifest:
    return make_manifest(run.root, "train", folder, rows=1, names=names, key=key, notes=[FACTS])


def _both(first: OnEvent, second: OnEvent) -> OnEvent:
    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen


@contextmanager
def _not_tried_again_at_the_end() -> Iterator[None]:
    """Keep children ended by `ended_with_the_flow` from being retried by their tasks."""
    try:
        yield
    except (ResumeLaterError, ChildDiedError) as error:
        if not run_context().shutdown_requested():
            raise
        raise InterruptedRunError(f"the run is ending: {error}") from error
