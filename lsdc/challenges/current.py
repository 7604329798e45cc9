"""The challenge that the flows run. A second one turns this module into a choice."""

from lsdc.challenges.lumbar.run import LumbarRun as CurrentRun
from lsdc.challenges.lumbar.steps.choice import (
    predict_and_assemble,
    prepare_training,
    require_model_here,
    train_and_score,
)
from lsdc.challenges.lumbar.steps.prepare import STAGES
from lsdc.challenges.lumbar.steps.prepare import prepare_training as prepare_crops
from lsdc.challenges.lumbar.steps.report import report
from lsdc.challenges.lumbar.steps.train import train_here
from lsdc.challenges.lumbar.steps.train_coordinates import train_coordinates
from lsdc.challenges.lumbar.steps.train_judge import train_judge

# What a worker with a GPU is sent besides folds.
GPU_FLOWS = (train_coordinates, train_judge)

__all__ = [
    "GPU_FLOWS",
    "STAGES",
    "CurrentRun",
    "predict_and_assemble",
    "prepare_crops",
    "prepare_training",
    "report",
    "require_model_here",
    "train_and_score",
    "train_here",
]
