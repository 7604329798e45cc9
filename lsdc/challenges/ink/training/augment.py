"""Augmentation of a tile: what turns and distorts it takes its label along."""

from functools import partial

import numpy as np

from lsdc.challenges.ink.config.augment import AugmentConfig
from lsdc.challenges.ink.config.tiles import TilesConfig
from lsdc.challenges.ink.training.samples import reduce_labels
from lsdc.training.augment import PixelAugmentation, change_images
from lsdc.training.samples import Sample, seed_of
from lsdc.training.slice_order import reorder_slices

CELL_PX = 32  # of the grid that is cut out
_MOST_CELLS = 2  # of a cut along each edge


class TileAugment:
    """A random change of a tile, fixed by its seed; an `lsdc.training.samples.Augment`.

    Its label, which is of the tile's size, is reduced to the network's stride at the end.
    """

    def __init__(self, augment: AugmentConfig, tiles: TilesConfig, stride: int) -> None:
        self._augment, self._tiles, self._stride = augment, tiles, stride
        self._pixels = PixelAugmentation(augment, per_pixel=True)

    def __call__(self, sample: Sample, seed: int) -> Sample:
        settings = self._augment
        # A stream of its own for each change: another probability of one changes no other.
        chance = [np.random.default_rng(seed_of(seed, number)) for number in range(1, 6)]
        if chance[0].random() < settings.horizontal_flip:
            sample = change_images(sample, partial(np.flip, axis=-1))
        if chance[1].random() < settings.vertical_flip:
            sample = change_images(sample, partial(np.flip, axis=-2))
        if chance[2].random() < settings.quarter_turns:
            turns = int(chance[2].integers(4))
            sample = change_images(sample, partial(np.rot90, k=turns, axes=(-2, -1)))
        if chance[3].random() < settings.layer_shuffle:
            sample = self._shuffle(sample, chance[3])
        sample = self._pixels(sample, seed_of(seed, 6))
        if chance[4].random() < settings.grid_cutout:
            sample = cut_cells(sample, chance[4])
        grades, weights = sample.labels.grades, sample.labels.weights
        assert weights is not None
        grades, weights = reduce_labels((grades, weights), self._stride)
        return sample._replace(labels=sample.labels._replace(grades=grades, weights=weights))

    def _shuffle(self, sample: Sample, random: np.random.Generator) -> Sample:
        """Shuffle the layers within each group, in all groups alike."""
        tiles = self._tiles
        order = random.permutation(tiles.group_layers)
        starts = np.arange(tiles.groups) * tiles.group_layers
        return reorder_slices(sample, (starts[:, np.newaxis] + order).ravel())


def cut_cells(sample: Sample, random: np.random.Generator) -> Sample:
    """Blank a box of 1 to 2 by 1 to 2 cells of a grid in all layers, and the label with it."""
    box = []
    for length in sample.slices.shape[-2:]:
        cells = length // CELL_PX
        wide = int(random.integers(1, min(_MOST_CELLS, cells) + 1))
        first = int(random.integers(cells - wide + 1))
        box.append(slice(first * CELL_PX, (first + wide) * CELL_PX))
    slices, grades = sample.slices.copy(), sample.labels.grades.copy()
    slices[:, *box], grades[:, *box] = 0, 0
    return sample._replace(slices=slices, labels=sample.labels._replace(grades=grades))
