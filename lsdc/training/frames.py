"""What a sample shows of what is stored: a part of its own row, or several rows.

Frames are stored slices that are larger and more than those a sample shows. Training draws which
part of them a sample shows, before any other augmentation. Everywhere else a sample shows the
windows in their middle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Move(NamedTuple):
    """How far the windows of a sample's s slots are moved.

    Attributes:
        along: (s,) number of stored slices towards the end of the sequence.
        down: (s,) number of pixels.
        right: (s,) number of pixels.
    """

    along: Indices
    down: Indices
    right: Indices


Draw = Callable[[int, int], Move]
"""Draws the move of a sample, by its place among the samples, as a function of a seed."""


@dataclass(frozen=True)
class Frame:
    """Where the slices that n samples show lie in what is stored.

    Attributes:
        shape: rows and columns of a slice as it is shown, in the middle of the stored one.
        slots: (s,) the stored slice that each slot shows.
        kept: (n, stored) bool, whether there is a slice in each stored slot.
        draw: the moves of training samples; None shows the middle.
    """

    shape: tuple[int, int]
    slots: Indices
    kept: NDArray[np.bool_]
    draw: Draw | None = None

    def show(
        self,
        stored: NDArray[Any],
        present: NDArray[np.bool_],
        place: int,
        move: Move | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the slices of a sample and which are present, moved or as they are in the middle.

        A slot that was left empty although a slice is stored for it stays empty: that slice is too
        far away to be chosen. A slot beyond the first or the last slice may be filled by a move.

        Args:
            stored: (stored, height, width).
            present: (s,) bool, the slots that hold a slice without a move.
            place: the place of the sample among the n samples.
            move: the move; None shows the middle.

        Returns:
            (s, rows, columns), 0 where absent, and (s,) bool.
        """
        (rows, columns), kept = self.shape, self.kept[place]
        top, left = (stored.shape[1] - rows) // 2, (stored.shape[2] - columns) // 2
        slices = np.zeros((len(self.slots), rows, columns), dtype=stored.dtype)
        along = down = right = np.zeros(len(self.slots), dtype=np.int64)
        if move is not None:
            along, down, right = move
            present = (present | ~kept[self.slots]) & kept[self.slots + along]
        for slot in np.flatnonzero(present):
            first, start = top + down[slot], left + right[slot]
            shown = stored[self.slots[slot] + along[slot]]
            slices[slot] = shown[first : first + rows, start : start + columns]
        return slices, present

    def follow(self, marks: NDArray[Any], move: Move | None = None) -> NDArray[Any]:
        """Return marks (..., stored) of stored slices at the slots (..., s) that show them.

        The mark of a slice that is not shown is left out. `move` is as for `show`.
        """
        shown: NDArray[Any] = marks[..., self.slots if move is None else self.slots + move.along]
        return shown


class Gathered:
    """Rows that are each made of several rows of an array, such as an image and its neighbours.

    Args:
        array: (all, slices, height, width), usually a memory map.
        rows: (n, k) the rows of `array` that make up each row.
        weights: (k,) with a sum of 1: the rows are then averaged, and not put one after the other.
    """

    def __init__(
        self, array: NDArray[Any], rows: Indices, weights: Sequence[float] | None = None
    ) -> None:
        self._array, self._rows, self._weights = array, rows, weights

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, slices or k x slices, height, width)."""
        (n, k), (slices, *image) = self._rows.shape, self._array.shape[1:]
        return n, slices * (k if self._weights is None else 1), *image

    def __getitem__(self, row: Any) -> NDArray[Any]:
        """Return a row, of the type of the array; a mean of whole numbers is rounded."""
        found = [self._array[each] for each in self._rows[row]]
        if self._weights is None:
            return np.concatenate(found)
        mean: NDArray[Any] = np.tensordot(
            np.array(self._weights, np.float32), np.stack(found), axes=1
        )
        if np.issubdtype(self._array.dtype, np.integer):
            mean = mean.round()
        return mean.astype(self._array.dtype)
