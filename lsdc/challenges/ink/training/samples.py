"""Tiles of prepared volumes as samples of the training engine; their labels are images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lsdc.challenges.ink.config.augment import AugmentConfig
from lsdc.challenges.ink.config.tiles import TilesConfig
from lsdc.challenges.ink.training.places import Places
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.training.samples import Labels, Sample, seed_of
from lsdc.training.sampling.order import Units
from lsdc.training.settings.training import BatchBy

_WHITE_16_BITS = 2**16 - 1


@dataclass(frozen=True)
class TileDraw:
    """How many tiles an epoch shows, drawn anew for each epoch without replacement.

    Attributes:
        inked: the number of tiles with ink.
        empty: the number of tiles without.
    """

    inked: int
    empty: int

    def places(self, groups: NDArray[np.int64], random: np.random.Generator) -> list[int]:
        """Return the tiles of one epoch, in order.

        Args:
            groups: (n,) 1 for a tile with ink, 0 for one without.
            random: the random numbers of the epoch.
        """
        chosen = [
            random.permutation(np.flatnonzero(groups == group))[:count]
            for group, count in ((1, self.inked), (0, self.empty))
        ]
        drawn: list[int] = np.sort(np.concatenate(chosen)).tolist()
        return drawn


@dataclass(frozen=True)
class TileSamples:
    """Tiles as samples of the engine; an `lsdc.training.samples.SampleSet`.

    A sample has `tiles.layers` slices, which are layers. Its label is (1, size, size) float32, the
    share of ink, weighted by the mask. Without a seed, both are at the stride of the network. With
    one, in training, they are in full size, to be augmented and then reduced; and the window of
    layers may be shifted.

    Attributes:
        volumes: the volumes, with labels.
        places: where the tiles lie.
        tiles: their size and layers.
        stride: pixels of a tile per pixel of the network's output.
        names: the name of each volume.
        augment: how the window of layers is shifted.
        draw: which tiles an epoch shows; None means all.
    """

    volumes: tuple[Volume, ...]
    places: Places
    tiles: TilesConfig
    stride: int
    names: tuple[str, ...]
    augment: AugmentConfig
    draw: TileDraw | None = None

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The number of each tile, in random seeds."""
        return np.arange(len(self))

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n, layers): all layers are there."""
        return np.ones((len(self), self.tiles.layers), dtype=bool)

    @property
    def ids(self) -> Sequence[str]:
        """The fragment and the corner of each tile."""
        places = self.places
        corners = zip(places.volume, places.row, places.column, strict=True)
        return [f"{self.names[volume]} ({row}, {column})" for volume, row, column in corners]

    @property
    def shown_labels(self) -> Labels[NDArray[Any]]:
        """The labels of all tiles, reduced to the network's stride: each (n, 1, size, size)."""
        found = [reduce_labels(self._labels(place), self.stride) for place in range(len(self))]
        grades, weights = (np.stack(column) for column in zip(*found, strict=True))
        return Labels(grades, weights=weights)

    def units_by(self, batch_by: BatchBy) -> Units:  # noqa: ARG002  # a tile belongs to no study
        """Return single tiles as the units of batches."""
        groups = (self.places.ink > 0).astype(np.int64)
        return Units(np.ones(len(self), np.int64), groups, together=False, draw=self.draw)

    def members_of(self, places: Sequence[int]) -> Tensor | None:  # noqa: ARG002  # as above
        """Return None."""
        return None

    def show(self, place: int, seed: int | None = None) -> Sample:
        """Return a tile; see the class."""
        shift = 0 if seed is None else self._layer_shift(seed)
        at, size = self.places, self.tiles.size_px
        volume = self.volumes[at.volume[place]]
        kept = slice(self.tiles.first_layer + shift, self.tiles.end_layer + shift)
        pixels = volume.tile(int(at.row[place]), int(at.column[place]), size)
        layers: NDArray[Any] = np.ascontiguousarray(pixels[:, :, kept].transpose(2, 0, 1))
        if layers.dtype == np.uint16:  # hardly supported by torch and augmentation
            layers = layers.astype(np.float32) / np.float32(_WHITE_16_BITS)
        grades, weights = self._labels(place)
        if seed is None:
            grades, weights = reduce_labels((grades, weights), self.stride)
        return Sample(layers, np.ones(len(layers), dtype=bool), Labels(grades, weights=weights))

    def _labels(self, place: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the label and its weights, each (1, size, size)."""
        at, size = self.places, self.tiles.size_px
        row, column = int(at.row[place]), int(at.column[place])
        volume = self.volumes[at.volume[place]]
        weights = volume.mask_tile(row, column, size)
        own = np.arange(row, row + size)
        weights &= ((at.first_row[place] <= own) & (own < at.end_row[place]))[:, np.newaxis]
        found = (volume.label_tile(row, column, size), weights)
        label, weight = (each[np.newaxis].astype(np.float32) for each in found)
        return label, weight

    def _layer_shift(self, seed: int) -> int:
        random = np.random.default_rng(seed_of(seed, 0))
        drawn, most = random.random(), self.augment.layer_shift_layers
        shift = int(random.integers(-most, most + 1))
        return shift if drawn < self.augment.layer_shift else 0


def reduce_labels(
    labels: tuple[NDArray[np.float32], NDArray[np.float32]], stride: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return labels and weights (1, size, size) as means over cells of `stride` pixels.

    The label of a cell is its share of ink; its weight is its share of mask.
    """
    label, weight = (
        each.reshape(1, each.shape[1] // stride, stride, each.shape[2] // stride, stride).mean(
            axis=(2, 4), dtype=np.float32
        )
        for each in labels
    )
    return label, weight
