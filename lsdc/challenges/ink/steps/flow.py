"""The steps that flows call."""

from functools import partial

from lsdc.challenges.ink.stages.report import make_report
from lsdc.challenges.ink.steps.prepare import STAGES, prepare_training, require_model_here
from lsdc.challenges.ink.steps.prepare import prepare_training as prepare_folds
from lsdc.challenges.ink.steps.submit import predict_and_assemble
from lsdc.challenges.ink.steps.train import train_and_score, train_here
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
