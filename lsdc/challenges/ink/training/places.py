"""Where tiles may lie: a grid over rows, of which places with too little mask are left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.volumes.volume import Volume

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """The top left corners of n tiles, with what lies below them.

    Attributes:
        volume: (n,) the number of the tile's volume.
        row, column: (n,) the tile's top left pixel.
        first_row, end_row: (n,) the rows of pixels that count; of a tile that lies across their
            end, the rest does not.
        mask: (n,) the number of pixels of the mask in the rows that count.
        ink: (n,) the number of those with ink.
    """

    volume: Integers
    row: Integers
    column: Integers
    first_row: Integers
    end_row: Integers
    mask: Integers
    ink: Integers

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: NDArray[np.bool_]) -> "Places":
        """Return some of the places."""
        return Places(*(values[chosen] for values in vars(self).values()))

    @classmethod
    def join(cls, parts: Iterable["Places"]) -> "Places":
        """Return the places of several parts, one after the other; `parts` is not empty."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def grid_within(number: int, volume: Volume, rows: tuple[int, int], size: int, step: int) -> Places:
    """Return places whose tiles lie within rows, on a grid that reaches the far edges.

    Args:
        number: the number of the volume.
        volume: the volume, with labels.
        rows: the first row, and the row after the last one.
        size: the side of a tile in pixels; with fewer rows there are no places, with fewer columns
            tiles reach beyond the frame.
        step: the distance between neighbouring places in pixels.
    """
    first, end = rows
    return _places(number, volume, rows, _steps(first, end, size, step), size, step)


def grid_over(number: int, volume: Volume, rows: tuple[int, int], size: int) -> Places:
    """Return places whose tiles cover rows once; the last ones reach beyond them.

    For the arguments, see `grid_within`.
    """
    first, end = rows
    return _places(number, volume, rows, np.arange(first, end, size), size, None)


def _places(
    number: int,
    volume: Volume,
    rows: tuple[int, int],
    tops: Integers,
    size: int,
    step: int | None,
) -> Places:
    width = volume.shape[1]
    lefts = np.arange(0, width, size) if step is None else _steps(0, max(width, size), size, step)
    row, column = (each.ravel() for each in np.meshgrid(tops, lefts, indexing="ij"))
    counted = [
        count_in_tiles(array, rows, tops.tolist(), lefts.tolist(), size).ravel()
        for array in (volume.mask, volume.labels)
    ]
    same = [np.full(len(row), value, np.int64) for value in (number, *rows)]
    return Places(same[0], row, column, same[1], same[2], *counted)


def _steps(first: int, end: int, size: int, step: int) -> Integers:
    """Return starts of tiles from `first` on, the last one at the end.

    >>> _steps(0, 100, 30, 32).tolist()
    [0, 32, 64, 70]
    """
    last = end - size
    if last < first:
        return np.zeros(0, np.int64)
    return np.unique([*range(first, last, step), last])


def count_in_tiles(
    array: Any, rows: tuple[int, int], tops: Sequence[int], lefts: Sequence[int], size: int
) -> Integers:
    """Return how many pixels of tiles are True, (tops, lefts), each row of the array read once.

    Args:
        array: (rows, columns) bool, such as a memory map; None counts as False.
        rows: the first row that counts, and the row after the last one.
        tops: the first rows of the tiles, in order.
        lefts: the first columns of the tiles, in order.
        size: the side of a tile in pixels.
    """
    counts = np.zeros((len(tops), len(lefts)), np.int64)
    if array is None:
        return counts
    width = array.shape[1]
    marks = np.unique(np.clip([*tops, *(top + size for top in tops)], *rows))
    total = np.zeros(width, np.int64)
    until = {int(marks[0]) if len(marks) else 0: total}
    for start, end in zip(marks[:-1].tolist(), marks[1:].tolist(), strict=True):
        total = total + array[start:end].sum(axis=0, dtype=np.int64)
        until[end] = total
    left = np.clip(lefts, 0, width)
    right = np.clip(np.asarray(lefts) + size, 0, width)
    for number, top in enumerate(tops):
        start, end = np.clip([top, top + size], *rows).tolist()
        summed = np.concatenate([[0], np.cumsum(until[end] - until[start])])
        counts[number] = summed[right] - summed[left]
    return counts
