"""Training: one process and one device per fold, resumed from its checkpoint if killed."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.tta import TtaConfig
from lsdc.challenges.lumbar.run import LumbarRun, Pair
from lsdc.challenges.lumbar.training.train_fold import DOUBTED, RESULTS, TRAINED, FoldJob
from lsdc.challenges.lumbar.training.train_fold import train_fold as fit_fold
from lsdc.errors import SettingsError
from lsdc.experiments.base import NeedsConfig
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import FACTS
from tasks.common.models import needed_weights
from tasks.common.trainings import training_in
from tasks.identity import needed_fold, pretrained_digests
from tasks.results import compute_once, find_result
from tasks.run import TRAINING_CHANGES_NO_RESULT, Place
from tasks.stage import stage

log = logging.getLogger("lsdc.training")

_CODE = ("lsdc.challenges.lumbar.training.train_fold",)
_LIBRARIES = ("albumentations", "numpy", "opencv-python-headless", "timm", "torch")
TRAINING = "training"  # results without predictions, by the key of the stage without views
_RESUMES = 20  # each resumes after the previous one was asked to stop


def _needed_labels(run: LumbarRun, fold: int) -> Path | None:
    """Return the same fold's predictions of another experiment, which fill empty labels."""
    needed = run.experiment.needs.labels
    return None if needed is None else needed_fold(run, needed, fold) / "unlabelled.parquet"


def _digest(path: Path | None) -> str | None:
    return digest_file(path) if path and path.is_file() else None


def require_judges(run: LumbarRun) -> None:
    """Refuse to judge labels with too few folds.

    Raises:
        SettingsError: a judge, which leaves out two folds, would have none to train on.
    """
    if run.judges and run.folds < 3:
        raise SettingsError(
            f"labels.distrust {run.experiment.labels.distrust}: its judges leave out two folds, "
            f"expected 3 or more folds, got {run.folds}; use --folds 3, or --set "
            "labels.distrust=none"
        )


def takes_hub_weights(run: LumbarRun) -> bool:
    """Return whether the models start from timm's weights, which the training host provides."""
    experiment = run.experiment
    return experiment.model.pretrained and experiment.needs.weights is None and run.weights is None


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    run: LumbarRun = inputs["run"]
    return {
        **run.parts("name", "slices", "crops", "model", "augment", "loss"),
        "training": run.experiment.training.model_dump(exclude=TRAINING_CHANGES_NO_RESULT),
        "weights": pretrained_digests(run),
        "seed": run.seed,
    }


@stage(
    "train",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda inputs: {
        **_uses(inputs),
        **inputs["run"].parts("labels", "tta"),
        "start_from": _digest(needed_weights(inputs["run"], inputs["fold"])),
        "fill_from": _digest(_needed_labels(inputs["run"], inputs["fold"])),
    },
    run_name="fold {fold}",
    retries=1,
    resumes=_RESUMES,
)
def train_fold(
    run: LumbarRun,
    fold: int,
    crops: Manifest,
    folds: Manifest,
    marks: Manifest | None = None,
    judges: Sequence[Manifest] = (),
) -> Manifest:
    """Train a fold's model and predict the studies held out of it.

    A fold that this or another run has trained already, but predicted with other views (`tta`), is
    only predicted.
    """
    plain = _without_views(run)
    inputs = fold, crops, folds, marks, judges
    key = train_fold.key(plain, *inputs)
    if find_result(run, TRAINING, key, Manifest) is None and plain.experiment != run.experiment:
        train_fold.find(plain, *inputs)  # copies it into the run's folder
    job = FoldJob(
        experiment=run.experiment,
        fold=fold,
        out=run.fold(fold),
        identity=key,
        start_from=needed_weights(run, fold),
        fill_from=_needed_labels(run, fold),
        judges=tuple(run.at_home(judge).folder(run.root) for judge in judges),
        **_common(run, crops, folds, marks, run.place_of(fold, run.folds_to_train)),
    )
    _train(run, job)
    if plain.experiment != run.experiment:
        trained = _describe(run, "train", job, TRAINED)
        compute_once(run, TRAINING, key, Manifest, lambda: trained)
    return _describe(run, "train", job, RESULTS)


@stage(
    "judge",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda inputs: {**_uses(inputs), "labels": _trusting(inputs["run"]).labels},
    run_name="judge {pair[0]}-{pair[1]}",
    retries=1,
    resumes=_RESUMES,
)
def train_judge(
    run: LumbarRun, pair: Pair, crops: Manifest, folds: Manifest, marks: Manifest | None = None
) -> Manifest:
    """Train a model without two folds, and predict both: a judge of their labels.

    It trusts all labels, and starts anew: models of other experiments have seen one of the folds.
    It predicts without views.
    """
    job = FoldJob(
        experiment=_trusting(run),
        fold=pair[0],
        second_fold=pair[1],
        out=run.home.judge(run.name, pair),
        identity=train_judge.key(run, pair, crops, folds, marks),
        **_common(run, crops, folds, marks, run.place_of(pair, run.judges)),
    )
    _train(run, job)
    return _describe(run, "judge", job, RESULTS)


def _without_views(run: LumbarRun) -> LumbarRun:
    """Return the run without test-time augmentation, on which no weight depends."""
    experiment = run.experiment.model_copy(update={"tta": TtaConfig()})
    return run.model_copy(update={"experiment": experiment})


def _trusting(run: LumbarRun) -> Experiment:
    """Return the experiment of the judges."""
    experiment = _without_views(run).experiment
    labels = experiment.labels.model_copy(update={"distrust": None})
    return experiment.model_copy(update={"labels": labels, "needs": NeedsConfig()})


def _common(
    run: LumbarRun, crops: Manifest, folds: Manifest, marks: Manifest | None, place: Place
) -> dict[str, Any]:
    """Return what a job of a fold and one of a judge have in common."""
    return {
        "crops": crops.folder(run.root),
        "labels": folds.file(run.root, "labels.parquet"),
        "folds": folds.file(run.root, "folds.parquet"),
        "holdout": folds.file(run.root, "holdout.parquet"),
        "marks": None if marks is None else marks.file(run.root, "marks.parquet"),
        "seed": run.seed,
        "weights": run.weights,
        "device": place.device,
        "beside": place.beside,
        "threads": place.threads,
        "workers": place.workers,
    }


def _train(run: LumbarRun, job: FoldJob) -> None:
    """Do a training in its folder, or only its predictions."""
    with training_in(run, job.out, job.identity, job.name) as on_event:
        fit_fold(job, log=run.home.logs / "children.log", on_event=on_event)


def _describe(run: LumbarRun, name: str, job: FoldJob, names: Sequence[str]) -> Manifest:
    notes = [FACTS, *([DOUBTED] if job.judges else [])]
    return make_manifest(
        run.root, name, job.out, rows=1, names=names, key=job.identity, notes=notes
    )
