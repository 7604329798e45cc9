"""Stacks: the slices among which those of a level are chosen, as arrays beside each other."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.lumbar.series import SAME_PLACE_MM

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

MISSING = -1
# Distances that differ by less are equal: sums of coordinates leave such rests.
_ROUNDING_DECIMALS = 6


@dataclass(frozen=True)
class Stack:
    """n slices of one study and kind of series, against one level.

    Attributes:
        row: (n,) their rows in the table.
        series_id, orientation_group, instance_number: (n,).
        offset_mm: (n,) from the level point, see `lsdc.lumbar.sides`.
        left_offset_mm, right_offset_mm: (n,) from the landmarks of both sides, NaN without them.
        height_mm: (n,) of ImagePositionPatient above the level point.
        image_share: (n,) how far down the image the level lies, 0 at the top and 1 at the bottom.
        inside: (n,) whether the level is to be seen there.
    """

    row: Indices
    series_id: Indices
    orientation_group: Indices
    instance_number: Indices
    offset_mm: Floats
    left_offset_mm: Floats
    right_offset_mm: Floats
    height_mm: Floats
    image_share: Floats
    inside: npt.NDArray[np.bool_]

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> Self:
        """All rows of a table that has these columns."""
        return cls(*(table[field.name].to_numpy() for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: npt.NDArray[np.intp] | slice) -> Self:
        """Some of the slices, in that order."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    def without_doubles(self) -> Self:
        """One slice a place of each series and orientation group: the first of its instances."""
        order = np.lexsort((self.offset_mm, self.orientation_group, self.series_id))
        same = (
            (np.diff(self.series_id[order]) == 0)
            & (np.diff(self.orientation_group[order]) == 0)
            & (np.diff(self.offset_mm[order]) <= SAME_PLACE_MM)
        )
        if not same.any():
            return self
        place = np.empty(len(self), dtype=np.intp)
        place[order] = np.cumsum(np.concatenate([[0], ~same]))
        by_place = np.lexsort((self.instance_number, place))
        first = np.unique(place[by_place], return_index=True)[1]
        return self.take(np.sort(by_place[first]))

    def from_left_or_top(self) -> Self:
        """By position: from the patient's left to the right, or from top to bottom."""
        offset_mm = -self.offset_mm.round(_ROUNDING_DECIMALS)
        return self.take(np.lexsort((self.instance_number, self.series_id, offset_mm)))

    def by_instances(self) -> Self:
        """By instance number."""
        return self.take(np.lexsort((self.instance_number, self.series_id)))

    def nearest(self, distance_mm: Floats, count: int, tolerance_mm: float) -> Indices:
        """Up to `count` of the slices that show the level, in their order.

        Args:
            distance_mm: (n,) from what is looked for; of equals the first is taken.
            count: how many.
            tolerance_mm: the largest distance.
        """
        away = np.where(self.inside, np.abs(distance_mm).round(_ROUNDING_DECIMALS), np.inf)
        chosen = np.argsort(away, kind="stable")[:count]
        return np.sort(chosen[away[chosen] <= tolerance_mm]).astype(np.int64)

    def around(self, middle: int, count: int, *, lean_up: bool = False) -> Indices:
        """`count` neighbours, MISSING where the stack ends or does not show the level.

        An even count takes one more of those before the middle, or after it with `lean_up`.
        """
        first = middle - (count - lean_up) // 2
        wanted = np.arange(first, first + count, dtype=np.int64)
        return self.seen(wanted)

    def seen(self, wanted: Indices) -> Indices:
        """The indices, MISSING where there is no such slice or it does not show the level."""
        within = (wanted >= 0) & (wanted < len(self))
        there = np.zeros(len(wanted), dtype=bool)
        there[within] = self.inside[wanted[within]]
        return np.where(there, wanted, MISSING)
