"""The networks of an experiment, their loss, and the mixing of samples."""

from pathlib import Path

import torch
from torch import Tensor

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.training.losses.binary import BinaryLoss
from lsdc.training.mixing import Mixing
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.models.study_sequence import StudySequence

STEPS = 2  # of a slice: the distances to the slices before and after it


def build_model(
    experiment: Experiment, *, pretrained: bool, weights: Path | None = None
) -> SliceModel:
    """Build the model of slices, with one head of six outputs.

    Weights depend on torch's seed, except those of pretrained backbones; `weights` is the path of
    these if they are not on the hub or in its cache.

    Raises:
        SettingsError: the backbone or its weights do not exist.
    """
    _, rows, columns = experiment.slices.shape
    return SliceModel(
        experiment.model.settings,
        Task(slices=experiment.channels, shape=(rows, columns), heads=1, classes=len(LABELS)),
        pretrained=pretrained,
        weights=weights,
    )


def build_sequence(experiment: Experiment) -> StudySequence:
    """Build the recurrent net over the slices of a study; its weights depend on torch's seed.

    A vector has the features of a slice, then the slice model's logits and the steps in mm.
    """
    config = experiment.sequence
    return StudySequence(
        "lstm" if config.kind == "lstm" else "gru",
        features=experiment.model.width,
        further=len(LABELS) + STEPS,
        outputs=len(LABELS),
        width=config.width,
        layers=config.layers,
        dropout=config.dropout,
    )


def build_loss(experiment: Experiment) -> BinaryLoss:
    """Build the loss of both models' outputs."""
    config = experiment.loss
    return BinaryLoss(
        weights=config.weights,
        positive_weights=config.positive_weights,
        label_smoothing=config.label_smoothing,
    )


def build_mixing(experiment: Experiment) -> Mixing:
    """Build the mixing of samples within a batch."""
    return Mixing(experiment.augment, classes=len(LABELS))


def read_probabilities(logits: Tensor) -> Tensor:
    """Return the probabilities of the labels from either model's logits of the same shape."""
    return torch.sigmoid(logits)
