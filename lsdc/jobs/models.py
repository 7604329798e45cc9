"""The model of a job in a child process: built anew, or with the weights of a trained fold."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from lsdc.jobs.experiment import TrainedExperiment
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device

M = TypeVar("M", bound=nn.Module)

Build = Callable[..., M]
"""Builds a model: `build(experiment, pretrained=BOOL, weights=PATH)`; `weights` may be left out."""


def open_device(name: str, threads: int) -> torch.device:
    """Return the device of that name, and set the number of torch's threads.

    Raises:
        SettingsError: there is no such device here.
    """
    device = pick_device(name)
    torch.set_num_threads(threads)
    return device


def start_model(
    build: Build[M],
    experiment: TrainedExperiment,
    *,
    pretrained: bool,
    weights: Path | None,
    start_from: Path | None,
) -> M:
    """Build a model with its initial weights; new ones depend on torch's seed.

    Args:
        build: builds the model.
        experiment: the experiment of the model.
        pretrained: whether its backbones start from pretrained weights.
        weights: path of these, if they are not on the hub or in its cache.
        start_from: weights of `experiment.needs.weights` that replace all others.

    Raises:
        SettingsError: the backbone or its weights do not exist.
        StageError: the weights to start from do not fit the model.
    """
    model = build(experiment, pretrained=pretrained, weights=weights)
    if start_from is not None:
        restore_weights(model, start_from, of=f"{experiment.needs.weights}")
    return model
