"""Training: one process and one device per fold, resumed from its checkpoint if killed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.run import LumbarRun, Pair
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.errors import SettingsError
from lsdc.experiments.base import NeedsConfig
from lsdc.store.fingerprint import fingerprint_libraries
from lsdc.store.manifest import Manifest
from tasks.common.folds import (
    LIBRARIES,
    RESUMES,
    digest_needed,
    fit_fold,
    fit_whatever_the_views,
    job_settings,
    training_uses,
    without_views,
)
from tasks.common.models import needed_weights
from tasks.identity import needed_fold
from tasks.stage import stage

_CODE = ("lsdc.challenges.lumbar.training.train_fold",)


def _needed_labels(run: LumbarRun, fold: int) -> Path | None:
    """Return the same fold's predictions of another experiment, which fill empty labels."""
    needed = run.experiment.needs.labels
    return None if needed is None else needed_fold(run, needed, fold) / "unlabelled.parquet"


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
    parts = run.parts("name", "slices", "crops", "model", "augment", "loss")
    own = fingerprint_libraries(run.experiment.libraries)
    return {**parts, **training_uses(run), "libraries": own}


@stage(
    "train",
    code=_CODE,
    libraries=LIBRARIES,
    uses=lambda inputs: {
        **_uses(inputs),
        **inputs["run"].parts("labels", "tta"),
        "start_from": digest_needed(needed_weights(inputs["run"], inputs["fold"])),
        "fill_from": digest_needed(_needed_labels(inputs["run"], inputs["fold"])),
    },
    run_name="fold {fold}",
    retries=1,
    resumes=RESUMES,
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

    def job(key: str) -> FoldJob:
        return FoldJob(
            experiment=run.experiment,
            fold=fold,
            out=run.fold(fold),
            identity=key,
            start_from=needed_weights(run, fold),
            fill_from=_needed_labels(run, fold),
            judges=tuple(run.at_home(judge).folder(run.root) for judge in judges),
            **_inputs(run, crops, folds, marks),
            **job_settings(run, run.place_of(fold, run.folds_to_train)),
        )

    return fit_whatever_the_views(run, train_fold, (fold, crops, folds, marks, judges), job)


@stage(
    "judge",
    code=_CODE,
    libraries=LIBRARIES,
    uses=lambda inputs: {**_uses(inputs), "labels": _trusting(inputs["run"]).labels},
    run_name="judge {pair[0]}-{pair[1]}",
    retries=1,
    resumes=RESUMES,
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
        **_inputs(run, crops, folds, marks),
        **job_settings(run, run.place_of(pair, run.judges)),
    )
    return fit_fold(run, "judge", job)


def _trusting(run: LumbarRun) -> Experiment:
    """Return the experiment of the judges."""
    experiment = without_views(run).experiment
    labels = experiment.labels.model_copy(update={"distrust": None})
    return experiment.model_copy(update={"labels": labels, "needs": NeedsConfig()})


def _inputs(
    run: LumbarRun, crops: Manifest, folds: Manifest, marks: Manifest | None
) -> dict[str, Any]:
    """Return the files that a fold and a judge are trained on."""
    return {
        "crops": crops.folder(run.root),
        "labels": folds.file(run.root, "labels.parquet"),
        "folds": folds.file(run.root, "folds.parquet"),
        "holdout": folds.file(run.root, "holdout.parquet"),
        "marks": None if marks is None else marks.file(run.root, "marks.parquet"),
    }
