"""A small fragment in memory, whose tiles can be read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import EXPERIMENTS


class SmallVolume:
    """Pixels (rows, columns, layers) and the mask, as `Volume` gives them."""

    def __init__(self, pixels: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
        self.pixels = pixels
        self.mask = np.ones(pixels.shape[:2], bool) if mask is None else mask

    @property
    def shape(self) -> tuple[int, int, int]:
        rows, columns, layers = self.pixels.shape
        return rows, columns, layers

    def tile(self, row: int, column: int, size: int) -> NDArray[Any]:
        found = np.zeros((size, size, self.shape[2]), self.pixels.dtype)
        part = self.pixels[row : row + size, column : column + size]
        found[: part.shape[0], : part.shape[1]] = part
        return found


def noise(rows: int, columns: int, layers: int = 8, seed: int = 0) -> SmallVolume:
    """Return a fragment of noise."""
    drawn = np.random.default_rng(seed).integers(1, 256, (rows, columns, layers))
    return SmallVolume(drawn.astype(np.uint8))


def experiment_of(*settings: str) -> Experiment:
    """Return an experiment with tiles of 32 px and four layers from the third on."""
    small = ("tiles.size_px=32", "tiles.first_layer=2", "tiles.groups=1", "tiles.group_layers=4")
    return EXPERIMENTS.load("ink-baseline", [*small, "inference.batch_size=3", *settings])


def brightness(tiles: NDArray[Any]) -> NDArray[np.float32]:
    """Predict the mean of a pixel's layers as its probability: what lies where stays seen."""
    means: NDArray[np.float32] = tiles.mean(axis=1, dtype=np.float32) / 255
    return means
