"""Image use: the kind of series that each image is used as, or why it is set aside.

A series is not always one volume. It may contain a localizer, or a second contrast at the same
positions, and the table may give it another plane than its images have. Geometry outranks
descriptions: a series' images are split into stacks by orientation, shape and spacing. Stacks of
another plane, small stacks of another shape, spacing or angle, and second echoes are set aside and
not used. If a kind allows stacks at several angles, all of them are used.
"""

from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.dicom_index.localizers import SPACING, with_localizers
from lsdc.dicom_index.series_kinds import NORMAL, Kinds, with_kind
from lsdc.messages import Spell, few

# Slices closer together than this are duplicates.
SAME_PLACE_MM = 0.01
# Images of one stack share shape and spacing; files round the latter to three digits or more.
_GRID = ["rows", "columns", "row_spacing_mm", "column_spacing_mm"]
_SPACING_SHARE = 0.002
_ECHO_DECIMALS = 1
# Second images at this fraction of a series' positions are a second contrast or phase.
_MOST_PLACES = 1 / 2

_SERIES = ["study_id", "series_id"]
_INSTANCE = [*_SERIES, "instance_number"]


class SetAside(StrEnum):
    """The reason why an image is not used."""

    ANOTHER_PLANE = "another plane than described"
    LOCALIZER = "localizer"
    SECOND_CONTRAST = "second contrast"


def with_use(
    rows: pl.DataFrame, kinds: Kinds, annotations: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Add the use of each image.

    Args:
        rows: rows of the instances table, whole studies.
        kinds: the meaning of series descriptions.
        annotations: the points on training images, if any; they show which echo is meant.

    Returns:
        `rows` with `stack`, the number of its stack within the series, from 0: images of one
        orientation group, shape and spacing; `used_as`, the kind of series (null if none); and
        `set_aside`, the reason against use (`SetAside`; null if it is used, or if no table
        describes its series).
    """
    rows = rows.with_columns(_equal_spacing(name).alias(f"grid_{name}") for name in _GRID[2:])
    stack = [*_SERIES, "orientation_group", "rows", "columns", *SPACING]
    stacks = with_localizers(with_kind(_list_stacks(rows, stack), kinds), rows, stack, kinds)
    no_kind = pl.col("series_description").is_not_null() & pl.col("kind").is_null()
    stacks = stacks.with_columns(
        used_as=pl.when(~pl.col("is_localizer")).then("kind"),
        set_aside=pl.when("is_localizer")
        .then(pl.lit(str(SetAside.LOCALIZER)))
        .when(no_kind)
        .then(pl.lit(str(SetAside.ANOTHER_PLANE))),
    )
    used = rows.join(
        stacks.select(*stack, "stack", "used_as", "set_aside"),
        on=stack,
        how="left",
        maintain_order="left",
    )
    second = _second_contrasts(used, kinds, annotations)
    if second.any():
        used = used.with_columns(
            used_as=pl.when(~second).then("used_as"),
            set_aside=pl.when(second)
            .then(pl.lit(str(SetAside.SECOND_CONTRAST)))
            .otherwise("set_aside"),
        )
    return used.drop(SPACING)


def used_images(instances: pl.DataFrame) -> pl.DataFrame:
    """Return the used images, with their use as description."""
    used = instances.filter(pl.col("used_as").is_not_null())
    return used.with_columns(series_description="used_as")


def acquisitions(images: pl.DataFrame) -> NDArray[np.int64]:
    """Return (n,) numbers shared by images of one series and pixel spacing.

    Brightness is scaled per acquisition, as others in the same series may differ in brightness.
    """
    key = pl.struct(*_SERIES, *(_equal_spacing(name) for name in _GRID[2:]))
    numbers: NDArray[np.int64] = images.select(key.rank("dense")).to_series().to_numpy()
    return numbers


def _equal_spacing(name: str) -> pl.Expr:
    """Return a series' spacings, with those equal up to rounding replaced by the smallest."""
    spacing = pl.col(name)
    ordered = spacing.sort()
    begins = (ordered > (1 + _SPACING_SHARE) * ordered.shift()).fill_null(True)
    least = pl.when(begins).then(ordered).forward_fill()
    return least.gather(spacing.rank("ordinal") - 1).over(_SERIES)


def _list_stacks(rows: pl.DataFrame, stack: list[str]) -> pl.DataFrame:
    """Return one row per stack: number of images, geometry and its number in the series."""
    grid = [*_SERIES, *stack[3:]]
    stacks = rows.group_by(stack, maintain_order=True).agg(
        pl.col("split", "series_description", "orientation").first(), images=pl.len()
    )
    orientation = stacks["orientation"].to_numpy().reshape(-1, 6)
    across = np.abs(np.cross(orientation[:, :3], orientation[:, 3:]))
    return (
        stacks.with_columns(pl.Series(name, across[:, n]) for n, name in enumerate(NORMAL))
        .with_columns(
            of_grid=pl.col("images").sum().cast(pl.Int64).over(grid),
            first=pl.int_range(pl.len()).min().over(grid),
        )
        .sort(*_SERIES, -pl.col("of_grid"), "first", "orientation_group")
        .with_columns(grid=pl.struct(grid).rle_id())
        # For one shape and spacing, the stacks' numbers are those of the orientation groups.
        .with_columns(stack=pl.int_range(pl.len(), dtype=pl.Int32).over(_SERIES))
    )


def _second_contrasts(
    rows: pl.DataFrame, kinds: Kinds, annotations: pl.DataFrame | None
) -> pl.Series:
    """Return which used images show a position at another echo than the one used there.

    Of a series' echoes at the same positions, the one with most annotated points is used, else the
    later or earlier one, depending on its kind. Images without an EchoTime count as a separate
    echo, which only points can select.
    """
    second = np.zeros(len(rows), dtype=bool)
    used = (
        rows.with_row_index("row")
        .filter(pl.col("used_as").is_not_null())
        .with_columns(echo=pl.col("echo_time_ms").round(_ECHO_DECIMALS))
        .filter(pl.col("echo").n_unique().over(_SERIES) > 1)
    )
    if used.is_empty():
        return pl.Series(second)
    used = used.join(_count_points(annotations), on=["split", *_INSTANCE], how="left")
    for _, series in _with_place(used).group_by("split", *_SERIES, maintain_order=True):
        late = kinds[series["used_as"][0]].late_echo
        echoes = (
            series.group_by("echo")
            .agg(pl.col("points").sum(), "row", places=pl.col("place").unique())
            .sort("points", "echo", descending=[True, late], nulls_last=True)
        )
        taken: list[tuple[float | None, int, list[int]]] = []
        for echo, points, places, images in echoes.select(
            "echo", "points", "places", "row"
        ).iter_rows():
            shown = {
                place
                for first, more, own in taken
                if None not in (first, echo) or more > points
                for place in own
            }
            if 2 * len(shown.intersection(places)) >= len(places):
                second[images] = True
            else:
                taken.append((echo, points, places))
    return pl.Series(second)


def _with_place(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images sorted by position, with a number that those at one position share."""
    images = images.sort("split", *_SERIES, "orientation_group", "normal_position_mm")
    apart = (pl.col("normal_position_mm").diff().abs() > SAME_PLACE_MM).fill_null(True)
    group = pl.struct("split", *_SERIES, "orientation_group").rle_id().diff().fill_null(1) > 0
    return images.with_columns(place=(apart | group).cum_sum())


def _count_points(annotations: pl.DataFrame | None) -> pl.DataFrame:
    """Return the number of annotated points on each training image."""
    if annotations is None:
        annotations = pl.DataFrame(schema=dict.fromkeys(_INSTANCE, pl.Int64))
    return annotations.group_by(_INSTANCE).agg(split=pl.lit("train"), points=pl.len())


def summarise_use(instances: pl.LazyFrame) -> pl.DataFrame:
    """Count the images that are not used as their series description says.

    Returns:
        split, study_id, series_id, series_description, used_as and set_aside (one of both is null),
        and images, their number.
    """
    key = ["split", *_SERIES, "series_description", "used_as", "set_aside"]
    otherwise = pl.col("set_aside").is_not_null() | (
        pl.col("used_as") != pl.col("series_description")
    )
    odd = instances.filter(otherwise.fill_null(False)).select(key)
    return odd.group_by(key, maintain_order=True).agg(images=pl.len().cast(pl.Int64)).collect()


def list_undecided(instances: pl.LazyFrame, spell: Spell = str) -> list[str]:
    """List series with several used images at most positions, some of them without EchoTime."""
    series = ["split", *_SERIES]
    timeless = pl.col("echo_time_ms").is_null().any().over(series)
    columns = [*series, "orientation_group", "normal_position_mm", "echo_time_ms"]
    images = instances.filter(pl.col("used_as").is_not_null()).select(columns)
    places = (
        _with_place(images.filter(timeless).collect())
        .group_by(*series, "place", maintain_order=True)
        .agg(several=pl.len() > 1)
    )
    found = places.group_by(series, maintain_order=True).agg(pl.col("several").mean())
    rows = found.filter(pl.col("several") >= _MOST_PLACES).select(_SERIES)
    return [f"{spell(study)}/{spell(one)}" for study, one in rows.iter_rows()]


def describe_use(summary: pl.DataFrame, spell: Spell = str) -> list[str]:
    """Describe the result of `summarise_use`, one line per kind, with the series' names."""
    lines = []
    for (used_as, set_aside), rows in summary.group_by("used_as", "set_aside", maintain_order=True):
        ids = rows.select(_SERIES).iter_rows()
        named = few([f"{spell(study)}/{spell(series)}" for study, series in ids])
        what = f"set aside: {set_aside}" if used_as is None else f"used as {used_as} by their plane"
        lines.append(
            f"{rows['images'].sum()} images {what}, in series {named}; see used_as and set_aside "
            "in the catalog's table instances"
        )
    return lines
