"""The steps that flows call."""

from functools import partial

from lsdc.challenges.hemorrhage.stages.report import make_report
from lsdc.challenges.hemorrhage.steps.prepare import STAGES, prepare_training, require_model_here
from lsdc.challenges.hemorrhage.steps.prepare import prepare_training as prepare_folds
from lsdc.challenges.hemorrhage.steps.submit import predict_and_assemble
from lsdc.challenges.hemorrhage.steps.train import train_and_score, train_here
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

GPU_FLOWS = ()  # a worker with a GPU is sent folds alone

report = partial(report_if_possible, make_report)
