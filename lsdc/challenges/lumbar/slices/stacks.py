"""Stacks: the candidate slices of a level, as parallel arrays."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.dicom_index.image_use import SAME_PLACE_MM

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

MISSING = -1
# Distances are compared after rounding to this many decimals, to ignore floating-point error.
_ROUNDING_DECIMALS = 6

LEVEL = ("split", "study_id", "level")


def line_up(slices: pl.DataFrame) -> pl.DataFrame:
    """Sort the slices of each study, level and kind of series, and drop duplicates.

    They run from the patient's left to the right, or from top to bottom. Of slices at the same
    position in their series and stack, the first instance that shows the level is kept.

    Returns:
        The rows of `slices` with their number as `row`.
    """
    kind = [*LEVEL, "series_description"]
    stack = [*kind, "series_id", "stack"]
    step_mm = pl.col("offset_mm").diff().fill_null(0.0)
    starts = (pl.struct(stack).rle_id().diff().fill_null(1) > 0) | (step_mm > SAME_PLACE_MM)
    return (
        slices.sort(*stack, "offset_mm")
        .with_columns(place=starts.cum_sum())
        .sort("place", ~pl.col("inside"), "instance_number")
        .unique("place", keep="first", maintain_order=True)
        .drop("place")
        .sort(*kind, -pl.col("offset_mm").round(_ROUNDING_DECIMALS), "series_id", "instance_number")
        .with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
    )


@dataclass(frozen=True)
class Stack:
    """n slices of one study and kind of series, relative to one level; see `line_up`.

    Attributes:
        row: (n,) their rows in the table.
        series_id, stack, instance_number: (n,) as in the slices table.
        offset_mm: (n,) offsets from the level point; see `slices.slice_offsets`.
        left_offset_mm, right_offset_mm: (n,) offsets from both sides' landmarks, NaN without them.
        height_mm: (n,) heights of ImagePositionPatient above the level point.
        image_share: (n,) the level's position in the image, 0 at the top and 1 at the bottom.
        inside: (n,) whether the slice shows the level.
    """

    row: Indices
    series_id: Indices
    stack: Indices
    instance_number: Indices
    offset_mm: Floats
    left_offset_mm: Floats
    right_offset_mm: Floats
    height_mm: Floats
    image_share: Floats
    inside: npt.NDArray[np.bool_]

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> Self:
        """Make a stack of all rows of a table that has these columns."""
        return cls(*(table[name].to_numpy() for name in cls.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: Indices | slice) -> Self:
        """Return the slices `which`, in that order."""
        return type(self)(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def by_instances(self) -> Self:
        """Return the slices sorted by series and instance number."""
        return self.take(np.lexsort((self.instance_number, self.series_id)))

    def nearest(self, distance_mm: Floats, count: int, tolerance_mm: float) -> Indices:
        """Return the nearest `count` or fewer slices that show the level, in stack order.

        Args:
            distance_mm: (n,) distances from the target; ties go to the first slice.
            count: the largest number of slices.
            tolerance_mm: the largest distance.

        >>> stack = Stack(*np.zeros((9, 5)), inside=np.ones(5, bool))
        >>> stack.nearest(np.array([9.0, 4.0, -1.0, -6.0, 2.0]), count=3, tolerance_mm=3.0).tolist()
        [2, 4]
        """
        away = np.where(self.inside, np.abs(distance_mm).round(_ROUNDING_DECIMALS), np.inf)
        chosen = np.argsort(away, kind="stable")[:count]
        return np.sort(chosen[away[chosen] <= tolerance_mm]).astype(np.int64)

    def around(self, middle: int, count: int, *, lean_up: bool = False) -> Indices:
        """Return `count` slices around `middle`, MISSING beyond the stack or without the level.

        An even count takes one more slice before the middle, or after it with `lean_up`.

        >>> stack = Stack(*np.zeros((9, 5)), inside=np.ones(5, bool))
        >>> stack.around(0, 3).tolist(), stack.around(2, 2).tolist()
        ([-1, 0, 1], [1, 2])
        >>> stack.around(2, 2, lean_up=True).tolist()
        [2, 3]
        """
        first = middle - (count - lean_up) // 2
        wanted = np.arange(first, first + count, dtype=np.int64)
        return self.seen(wanted)

    def with_spare(self, chosen: Indices, spare: int) -> Indices:
        """Return `chosen` with `spare` more slots at each end, and with its neighbours in them.

        Also a slot that was left empty gets the slice that continues the run of chosen ones.
        MISSING is left where the stack ends, and everywhere if nothing was chosen.

        >>> stack = Stack(*np.zeros((9, 5)), inside=np.array([True, True, False, True, True]))
        >>> stack.with_spare(np.array([MISSING, 1, 3]), spare=1).tolist()
        [-1, 0, 1, 3, 4]
        """
        slots = np.arange(-spare, len(chosen) + spare)
        filled = np.flatnonzero(chosen != MISSING)
        if not len(filled):
            return np.full(len(slots), MISSING, dtype=np.int64)
        showing = np.flatnonzero(self.inside)
        nearest = np.abs(slots[:, np.newaxis] - filled).argmin(axis=1)  # of the filled slots
        ranks = np.searchsorted(showing, chosen[filled])[nearest] + slots - filled[nearest]
        there = (ranks >= 0) & (ranks < len(showing))
        return np.where(there, showing[np.clip(ranks, 0, len(showing) - 1)], MISSING)

    def seen(self, wanted: Indices) -> Indices:
        """Return the indices, MISSING if there is no such slice or it does not show the level."""
        within = (wanted >= 0) & (wanted < len(self))
        there = np.zeros(len(wanted), dtype=bool)
        there[within] = self.inside[wanted[within]]
        return np.where(there, wanted, MISSING)
