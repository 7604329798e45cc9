"""A listing: the series that a competition's tables name, and what the tables say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

Split = Literal["train", "test"]


@dataclass(frozen=True)
class SeriesKind:
    """What a table means by a kind of series: how its slices lie, and which echo is meant.

    Attributes:
        axis: the patient's axis across the slices: 0 where they are sagittal, 2 where axial.
        late_echo: of several echoes at one place the later one is meant, as in T2, else the
            earlier one.
        one_angle: whether the slices of a series are parallel, or stacks may differ in angle.
        stands_in: whether a series that is described as of another plane is used as this kind if
            its slices lie so.
    """

    axis: int
    late_echo: bool
    one_angle: bool
    stands_in: bool


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The series that the tables of a folder list, without which every file is merely found.

    Attributes:
        root: the folder.
        series: split, study_id, series_id, series_description.
        annotations: study_id, series_id and instance_number of points on training images, a row a
            point; further columns are ignored.
        left_out: rows of test_series_descriptions.csv that cannot be meant: line, study_id,
            series_id, series_description as they are written, and why.
        spelled: how the tables write ids that begin with zeros.
        kinds: what each series_description means.
    """

    root: Path
    series: pl.DataFrame
    annotations: pl.DataFrame
    left_out: pl.DataFrame
    spelled: Mapping[int, str]
    kinds: Mapping[str, SeriesKind] = field(default_factory=dict)

    def spell(self, identifier: int) -> str:
        """An id of a study or series as the tables write it."""
        return self.spelled.get(identifier, str(identifier))
