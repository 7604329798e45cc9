"""Maps reduced by means over cells, and masks enlarged again."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.masks.levels import Probabilities

Mask = NDArray[np.bool_]

_CELLS = 32  # rows of cells at a time


@dataclass(frozen=True)
class Shrunk:
    """A reduced map: cells (rows, columns).

    Attributes:
        probabilities: the mean over the pixels inside the mask; 0 without any.
        inside: whether any pixel is inside the mask.
    """

    probabilities: Probabilities
    inside: Mask


def shrink(probabilities: Probabilities, inside: Mask, factor: int) -> Shrunk:
    """Return the map reduced by a factor; cells at the far edges may be incomplete."""
    pixels = sum_cells(inside, factor)
    total = sum_cells(probabilities, factor, where=inside)
    means = np.divide(total, pixels, out=np.zeros_like(total), where=pixels > 0)
    return Shrunk(means.astype(np.float16), pixels > 0)


def sum_cells(
    values: NDArray[np.generic], factor: int, *, where: Mask | None = None
) -> NDArray[np.float32]:
    """Return the sums over cells of factor x factor pixels, (rows, columns), read in bands.

    Args:
        values: (rows, columns).
        factor: the side length of a cell in pixels.
        where: which pixels count; None means all.
    """
    rows, columns = values.shape
    down, across = -(-rows // factor), -(-columns // factor)
    sums = np.zeros((down, across), np.float32)
    for first in range(0, down, _CELLS):
        top, end = first * factor, min((first + _CELLS) * factor, rows)
        cells = -(-(end - top) // factor)
        band = np.zeros((cells * factor, across * factor), np.float32)
        part = np.asarray(values[top:end], np.float32)
        band[: end - top, :columns] = part if where is None else part * where[top:end]
        sums[first : first + cells] = band.reshape(cells, factor, across, factor).sum(axis=(1, 3))
    return sums


def enlarge(mask: Mask, factor: int, shape: tuple[int, ...]) -> Mask:
    """Return a mask of cells as one of pixels, (rows, columns).

    Between the middles of cells it is interpolated, and cut at one half: edges become oblique where
    cells would leave steps.
    """
    rows, columns = shape[0], shape[1]
    padded = np.pad(mask.astype(np.float32), ((1, 1), (0, 0)), mode="edge")
    out = np.zeros((rows, columns), bool)
    for first in range(0, len(mask), _CELLS):
        cells = min(_CELLS, len(mask) - first)
        band = padded[first : first + cells + 2]  # with a row of cells before and after
        size = (mask.shape[1] * factor, len(band) * factor)
        large = cv2.resize(band, size, interpolation=cv2.INTER_LINEAR)
        top, end = first * factor, min((first + cells) * factor, rows)
        out[top:end] = large[factor : factor + end - top, :columns] > 0.5
    return out
