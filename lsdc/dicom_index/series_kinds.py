"""Series kinds: the kind of series that a stack can be used as, by the plane of its slices."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from lsdc.dicom_index.listing import SeriesKind

# Scans are turned by 15 degrees, lowest discs lean by 45; a larger lean means another kind.
LARGEST_LEAN_DEGREES = 60.0
# The normal's component along a patient axis below which (41 degrees) a plane is oblique.
OBLIQUE = 0.75

Kinds = Mapping[str, SeriesKind]

_SERIES = ["study_id", "series_id"]
NORMAL = ["across_x", "across_y", "across_z"]


def is_a_kind(column: str, kinds: Kinds) -> pl.Expr:
    """Return whether a column names a kind."""
    return pl.col(column).is_in(list(kinds)).fill_null(False)


def is_of(column: str, kinds: Kinds, attribute: str) -> pl.Expr:
    """Return an attribute of the kind that a column names; false if it names none."""
    chosen = [name for name, kind in kinds.items() if getattr(kind, attribute)]
    return pl.col(column).is_in(chosen).fill_null(False)


def fits(column: str, kinds: Kinds) -> pl.Expr:
    """Return whether a stack leans little enough for the kind that a column names."""
    lean = np.cos(np.radians(LARGEST_LEAN_DEGREES))
    planes = [
        (pl.col(column) == name) & (pl.col(NORMAL[kind.axis]) >= lean)
        for name, kind in kinds.items()
    ]
    return pl.any_horizontal(*planes, pl.lit(False))


def with_kind(stacks: pl.DataFrame, kinds: Kinds) -> pl.DataFrame:
    """Add `kind`: the kind that the series' plane allows; null if it allows none.

    A series whose plane differs from its description gets the `stands_in` kind of its plane if the
    study has no series described as that kind. If the plane has several kinds, only a single such
    series is reassigned, since two would be ambiguous.

    Args:
        stacks: one row per stack: ids, split, series_description, images, and `NORMAL`.
        kinds: the meaning of series descriptions.
    """
    planes = [
        pl.col("images").filter(pl.col(name) >= OBLIQUE).sum().alias(f"images_{axis}")
        for axis, name in enumerate(NORMAL)
    ]
    counts = ["images_0", "images_1", "images_2"]
    fitting = pl.col("images").filter(fits("series_description", kinds)).sum()
    series = (
        stacks.group_by(_SERIES, maintain_order=True)
        .agg(pl.col("split", "series_description").first(), *planes, fitting=fitting)
        .with_columns(most=pl.max_horizontal(counts))
        .with_columns(
            contradicts=is_a_kind("series_description", kinds)
            & (2 * pl.col("fitting") < pl.col("most")),
            own_axis=pl.concat_list(counts).list.arg_max(),
        )
    )
    contradicting = series.filter("contradicts")
    if contradicting.is_empty():
        described = series.select(*_SERIES, kind="series_description")
        return stacks.join(described, on=_SERIES, how="left", maintain_order="left")
    stands_in = {kind.axis: name for name, kind in kinds.items() if kind.stands_in}
    axes = [kind.axis for kind in kinds.values()]
    only_one = [axis for axis in stands_in if axes.count(axis) == 1]
    split = ["split", "study_id", "kind"]
    rightly = series.filter(~pl.col("contradicts")).select(*split[:2], kind="series_description")
    # If two compete for one kind, the one described with its contrast comes first.
    read = (
        contradicting.with_columns(
            kind=pl.col("own_axis").replace_strict(stands_in, default=None, return_dtype=pl.String),
            says_so=is_of("series_description", kinds, "late_echo"),
        )
        .filter(pl.col("kind").is_not_null())
        .join(rightly, on=split, how="anti", nulls_equal=True)
        .filter(pl.col("says_so") == pl.col("says_so").max().over(split))
        .filter(pl.col("own_axis").is_in(only_one) | (pl.len().over(split) == 1))
    )
    found = pl.concat(
        [
            series.filter(~pl.col("contradicts")).select(*_SERIES, kind="series_description"),
            read.select(*_SERIES, "kind"),
        ]
    )
    return stacks.join(found, on=_SERIES, how="left", maintain_order="left")
