"""A listing: the series in a competition's tables, with their data from the tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

Split = Literal["train", "test"]


@dataclass(frozen=True)
class SeriesKind:
    """The meaning of a kind of series in the tables: slice orientation and echo.

    Attributes:
        axis: the patient's axis across the slices: 0 for sagittal, 2 for axial.
        late_echo: whether the later of several echoes at one position is meant, as in T2; else the
            earlier one.
        one_angle: whether all slices of a series are parallel; else stacks may differ in angle.
        stands_in: whether a series that is described with another plane is used as this kind if its
            slices have this kind's plane.
    """

    axis: int
    late_echo: bool
    one_angle: bool
    stands_in: bool


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The series listed in the tables of a folder; without a listing files are indexed as found.

    Attributes:
        root: the folder.
        series: the columns split, study_id, series_id, series_description.
        annotations: study_id, series_id and instance_number of points on training images, one row
            per point; further columns are ignored.
        left_out: invalid rows of test_series_descriptions.csv: line, study_id, series_id,
            series_description as written, and why.
        spelled: the spelling of ids with leading zeros.
        kinds: the meaning of each series_description.
    """

    root: Path
    series: pl.DataFrame
    annotations: pl.DataFrame
    left_out: pl.DataFrame
    spelled: Mapping[int, str]
    kinds: Mapping[str, SeriesKind] = field(default_factory=dict)

    def spell(self, identifier: int) -> str:
        """Return the id of a study or series as the tables write it."""
        return self.spelled.get(identifier, str(identifier))
