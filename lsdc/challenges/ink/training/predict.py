"""Probabilities of ink in tiles, by trained networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.training.network import build_network, read_probabilities
from lsdc.training.checkpoint import restore_weights
from lsdc.training.models.dense.model import DenseModel, enlarge
from lsdc.training.trained_fold import WEIGHTS

_WHITE_16_BITS = 2**16 - 1


def load_networks(
    folders: Sequence[Path], experiment: Experiment, *, device: torch.device
) -> list[DenseModel]:
    """Return the networks of trained folds, in evaluation mode on the device.

    Raises:
        StageError: weights cannot be read, or are another model's.
    """
    networks = []
    for folder in folders:
        network = build_network(experiment, pretrained=False)
        restore_weights(network, folder / WEIGHTS, of=experiment.name)
        networks.append(network.to(device).eval())
    return networks


@torch.inference_mode()
def predict_tiles(
    network: DenseModel,
    tiles: NDArray[Any],
    experiment: Experiment,
    *,
    device: torch.device,
) -> NDArray[np.float32]:
    """Return the probabilities of ink (n, size, size) of tiles, enlarged to their size.

    Args:
        network: the network, in evaluation mode on the device.
        tiles: (n, layers, size, size) uint8 or uint16, from black to white, or float32 from 0 to 1.
        experiment: the experiment of the network, for its precision.
        device: the device.
    """
    if tiles.dtype == np.uint16:
        tiles = tiles.astype(np.float32) / np.float32(_WHITE_16_BITS)
    layers = torch.from_numpy(np.ascontiguousarray(tiles)).to(device)
    present = torch.ones(layers.shape[:2], dtype=torch.bool, device=device)
    precision = getattr(torch, experiment.training.precision)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        logits = network(layers, present).grades
    found = enlarge(read_probabilities(logits.float()), tiles.shape[-2:])
    probabilities: NDArray[np.float32] = found[:, 0].cpu().numpy()
    return probabilities
