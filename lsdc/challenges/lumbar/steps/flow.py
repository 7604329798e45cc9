"""The steps that flows call: those of models that a run trains, or those of an ensemble."""

from collections.abc import Sequence
from functools import partial

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.report import make_report
from lsdc.challenges.lumbar.steps import ensemble, prepare, submit, train
from lsdc.challenges.lumbar.steps.ensemble import Gathered
from lsdc.challenges.lumbar.steps.prepare import STAGES, Prepared
from lsdc.challenges.lumbar.steps.prepare import prepare_training as prepare_folds
from lsdc.challenges.lumbar.steps.train import train_here
from lsdc.challenges.lumbar.steps.train_coordinates import train_coordinates
from lsdc.challenges.lumbar.steps.train_judge import train_judge
from lsdc.store.manifest import Manifest
from tasks.common.report import report_if_possible

__all__ = [
    "GPU_FLOWS",
    "STAGES",
    "predict_and_assemble",
    "prepare_folds",
    "prepare_training",
    "report",
    "require_model_here",
    "train_and_score",
    "train_here",
]

# What a worker with a GPU is sent besides folds.
GPU_FLOWS = (train_coordinates, train_judge)

report = partial(report_if_possible, make_report)


def require_model_here(run: LumbarRun) -> None:
    """Refuse a model that cannot be trained; an ensemble trains none."""
    if not run.experiment.members:
        prepare.require_model_here(run)


def prepare_training(
    run: LumbarRun, *, for_submission: bool = False, for_training: bool = True
) -> Prepared | Gathered:
    """Prepare what models are trained on, or find what an ensemble combines."""
    if run.experiment.members:
        return ensemble.gather_members(run, for_submission=for_submission)
    return prepare.prepare_training(run, for_submission=for_submission, for_training=for_training)


def train_and_score(run: LumbarRun, prepared: Prepared | Gathered) -> list[Manifest]:
    """Train models, or fit an ensemble, and score the predictions out of fold."""
    if isinstance(prepared, Gathered):
        return ensemble.combine_and_score(run, prepared)
    return train.train_and_score(run, prepared)


def predict_and_assemble(
    run: LumbarRun, prepared: Prepared | Gathered, trained: Sequence[Manifest]
) -> None:
    """Predict the test studies with what was trained, and write the submission."""
    if isinstance(prepared, Gathered):
        ensemble.combine_and_assemble(run, prepared, trained)
    else:
        submit.predict_and_assemble(run, prepared, trained)
