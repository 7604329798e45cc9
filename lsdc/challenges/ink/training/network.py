"""The network of an experiment, its loss, and the mixing of tiles."""

from pathlib import Path

import torch
from torch import Tensor

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.training.losses.dense import DenseLoss
from lsdc.training.mixing import Mixing
from lsdc.training.models.dense.encoders import Layout
from lsdc.training.models.dense.model import DenseModel


def build_network(
    experiment: Experiment, *, pretrained: bool, weights: Path | None = None
) -> DenseModel:
    """Build the network, from tiles to the logits of ink.

    Weights depend on torch's seed, except those of pretrained backbones; `weights` is the path of
    these if they are not on the hub or in its cache. A 3-D encoder sees the layers as a volume, a
    2-D one each group as the channels of an image.

    Raises:
        SettingsError: the backbone or its weights do not exist, or it does not fit the tiles.
    """
    tiles = experiment.tiles
    is_volume = experiment.model.encoder == "volume"
    groups, channels = (tiles.layers, 1) if is_volume else (tiles.groups, tiles.group_layers)
    layout = Layout(groups, channels, (tiles.size_px, tiles.size_px))
    return DenseModel(experiment.model, layout, pretrained=pretrained, weights=weights)


def build_loss(experiment: Experiment) -> DenseLoss:
    """Build the loss of the network's outputs."""
    return DenseLoss(experiment.loss)


def build_mixing(experiment: Experiment) -> Mixing:
    """Build the mixing of tiles within a batch; labels are mixed pixel by pixel."""
    return Mixing(experiment.augment, classes=1, per_pixel=True)


def read_probabilities(logits: Tensor) -> Tensor:
    """Return the probabilities of ink from logits of the same shape."""
    return torch.sigmoid(logits)
