"""The steps that flows call."""

from lsdc.challenges.hemorrhage.steps.prepare import STAGES, prepare_training, require_model_here
from lsdc.challenges.hemorrhage.steps.prepare import prepare_training as prepare_folds
from lsdc.challenges.hemorrhage.steps.report import report
from lsdc.challenges.hemorrhage.steps.submit import predict_and_assemble
from lsdc.challenges.hemorrhage.steps.train import train_and_score, train_here

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
