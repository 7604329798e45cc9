"""Connected regions of a mask: their areas and peaks, and the removal of some."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lsdc.challenges.ink.masks.levels import Levels

_TOUCHING = np.ones((3, 3), bool)  # corners connect, too


@dataclass(frozen=True)
class Regions:
    """The connected regions of a mask; the numbers are by region, counted from 0.

    Attributes:
        labels: (rows, columns) int32: the region of each pixel plus 1, or 0.
        areas: the number of pixels.
        peaks: the highest level of a pixel.
    """

    labels: NDArray[np.int32]
    areas: NDArray[np.float64]
    peaks: NDArray[np.int64]

    def total(self, weights: NDArray[np.floating] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the sum of the pixels' weights, (rows, columns), by region."""
        within = self.labels > 0
        counted = weights[within].astype(np.float64)
        sums = np.bincount(self.labels[within], counted, minlength=len(self.areas) + 1)
        return sums[1:].astype(np.float64)


def find_regions(ink: NDArray[np.bool_], levels: Levels) -> Regions:
    """Return the connected regions of a mask, (rows, columns)."""
    labels = np.empty(ink.shape, np.int32)
    number = ndimage.label(ink, _TOUCHING, output=labels)
    within = np.flatnonzero(labels)
    of, level = labels.ravel()[within], levels.ravel()[within]
    peaks = np.zeros(number + 1, np.int64)
    np.maximum.at(peaks, of, level)
    areas = np.bincount(of, minlength=number + 1).astype(np.float64)
    return Regions(labels, areas[1:], peaks[1:])


def remove_regions(ink: NDArray[np.bool_], levels: Levels, *, least: float, top: int) -> None:
    """Remove regions from a mask, in place.

    Args:
        ink: the mask, (rows, columns).
        levels: the levels of the map, (rows, columns).
        least: the smallest area that is kept, in pixels of the mask.
        top: the level that one of the pixels of a region must have for it to be kept.
    """
    found = find_regions(ink, levels)
    kept = np.concatenate([[False], (found.areas >= least) & (found.peaks >= top)])
    np.take(kept, found.labels, out=ink)
