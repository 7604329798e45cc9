"""Stacks: the slices among which those of a level are chosen, as arrays beside each other."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.dicom_index.image_use import SAME_PLACE_MM

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

MISSING = -1
# Distances that differ by less are equal: sums of coordinates leave such rests.
_ROUNDING_DECIMALS = 6

LEVEL = ("split", "study_id", "level")


def line_up(slices: pl.DataFrame) -> pl.DataFrame:
    """Sort the slices of each study, level and kind of series, and leave out doubles.

    They run from the patient's left to the right, or from top to bottom. Of slices at one place of
    their series and stack the first instance that shows the level stays.

    Returns:
        Rows of `slices`, with `row`, their number.
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
    """n slices of one study and kind of series, against one level, see `line_up`.

    Attributes:
        row: (n,) their rows in the table.
        series_id, stack, instance_number: (n,).
        offset_mm: (n,) from the level point, see `slices.slice_offsets`.
        left_offset_mm, right_offset_mm: (n,) from the landmarks of both sides, NaN without them.
        height_mm: (n,) of ImagePositionPatient above the level point.
        image_share: (n,) how far down the image the level lies, 0 at the top and 1 at the bottom.
        inside: (n,) whether the level is to be seen there.
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
        """All rows of a table that has these columns."""
        return cls(*(table[name].to_numpy() for name in cls.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: Indices | slice) -> Self:
        """Some of the slices, in that order."""
        return type(self)(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def by_instances(self) -> Self:
        """The slices by instance number."""
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
