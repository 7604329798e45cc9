"""Image use: as which kind of series each image is used, or why it is set aside.

A series is not one volume. A localizer may lie under its number, or a second contrast at the same
places, and the table may describe it as of another plane than its images are. Geometry outranks
words: a series' images are parted into stacks by orientation, shape and spacing; those that are of
another plane, few of another shape, spacing or angle, or of a second echo are set aside, and
nothing is shown of them. Axial stacks at several angles are ordinary, and all are used.
"""

from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.lumbar.naming import Spell, few
from lsdc.lumbar.vocabulary import SeriesDescription

# Slices nearer to one another than this are the same slice twice.
SAME_PLACE_MM = 0.01
# Scans are turned by 15 degrees, lowest discs lean by 45; what leans more is of another kind.
LARGEST_LEAN_DEGREES = 60.0
# The normal's share along an axis of the patient, below which (41 degrees) a plane is oblique.
OBLIQUE = 0.75
# Images of one shape and spacing are one stack's; files round the latter to three digits or more.
_GRID = ["rows", "columns", "row_spacing_mm", "column_spacing_mm"]
_SPACING_SHARE = 0.002
# A localizer's field is so many times that of the slices, or the reverse; or its pixels are, which
# in a sagittal series, or of so few axial images, are all of one size. Of sagittal images, those
# of so much coarser pixels are of one however many there are.
_OTHER_FIELD, _OTHER_PIXELS, _FEW_AXIAL, _COARSE_PIXELS = 1.25, 1.02, 2, 1.5
# Axial slices that lie so near to others show the same place; those of a stack follow at less than
# this, those of a localizer at more.
_SAME_SHOWN_MM, _STACK_STEP_MM = 6.0, 10.0
# Images of another field or pixels are few, set against the others of the series, up to this share;
# of another angle alone, up to that.
_FEW_OF_A_GRID, _FEW_AT_AN_ANGLE = 1 / 2, 1 / 4
_ECHO_DECIMALS = 1
# A second image at this share of a series' places is a second contrast or phase.
_MOST_PLACES = 1 / 2

_SERIES = ["study_id", "series_id"]
_INSTANCE = [*_SERIES, "instance_number"]

# The axis (x, y, z) across the slices of each kind; the plane's name by axis.
_AXES = {
    str(SeriesDescription.SAGITTAL_T1): 0,
    str(SeriesDescription.SAGITTAL_T2): 0,
    str(SeriesDescription.AXIAL_T2): 2,
}
_T2_OF_AXIS = {0: str(SeriesDescription.SAGITTAL_T2), 2: str(SeriesDescription.AXIAL_T2)}
_NORMAL = ["across_x", "across_y", "across_z"]


class SetAside(StrEnum):
    """Why an image is not used."""

    ANOTHER_PLANE = "another plane than described"
    LOCALIZER = "localizer"
    SECOND_CONTRAST = "second contrast"


def with_use(rows: pl.DataFrame, annotations: pl.DataFrame | None = None) -> pl.DataFrame:
    """Add what each image is used as.

    Args:
        rows: of the instances table, whole studies.
        annotations: the points on training images, if there are any: which echo is meant.

    Returns:
        `rows` with `stack`, the number of its stack within the series, from 0: images of one
        orientation group, shape and spacing; `used_as`, the kind of series (null where it is of
        none); and `set_aside`, why not (`SetAside`; null where it is used, or where no table
        describes its series).
    """
    rows = rows.with_columns(_equal_spacing(name).alias(f"grid_{name}") for name in _GRID[2:])
    stack = [*_SERIES, "orientation_group", "rows", "columns", *_grid_spacing()]
    stacks = _judged(_with_kind(_list_stacks(rows, stack)), rows, stack)
    used = rows.join(
        stacks.select(*stack, "stack", "used_as", "set_aside"),
        on=stack,
        how="left",
        maintain_order="left",
    )
    second = _second_contrasts(used, annotations)
    if second.any():
        used = used.with_columns(
            used_as=pl.when(~second).then("used_as"),
            set_aside=pl.when(second)
            .then(pl.lit(str(SetAside.SECOND_CONTRAST)))
            .otherwise("set_aside"),
        )
    return used.drop(_grid_spacing())


def used_images(instances: pl.DataFrame) -> pl.DataFrame:
    """The images that are used, described as what they are used as."""
    used = instances.filter(pl.col("used_as").is_not_null())
    return used.with_columns(series_description="used_as")


def acquisitions(images: pl.DataFrame) -> NDArray[np.int64]:
    """(n,) numbers that images of one series and of one pixel spacing share.

    Brightness is scaled by acquisition: another one under the series' number says nothing of it.
    """
    key = pl.struct(*_SERIES, *(_equal_spacing(name) for name in _GRID[2:]))
    numbers: NDArray[np.int64] = images.select(key.rank("dense")).to_series().to_numpy()
    return numbers


def _equal_spacing(name: str) -> pl.Expr:
    """A series' spacings, those that are equal but for rounding as the least of them."""
    spacing = pl.col(name)
    ordered = spacing.sort()
    begins = (ordered > (1 + _SPACING_SHARE) * ordered.shift()).fill_null(True)
    least = pl.when(begins).then(ordered).forward_fill()
    return least.gather(spacing.rank("ordinal") - 1).over(_SERIES)


def _grid_spacing() -> list[str]:
    return [f"grid_{name}" for name in _GRID if "spacing" in name]


def _list_stacks(rows: pl.DataFrame, stack: list[str]) -> pl.DataFrame:
    """A row a stack: how many images, how they lie, and its number in the series."""
    grid = [*_SERIES, *stack[3:]]
    stacks = rows.group_by(stack, maintain_order=True).agg(
        pl.col("split", "series_description", "orientation").first(), images=pl.len()
    )
    orientation = stacks["orientation"].to_numpy().reshape(-1, 6)
    across = np.abs(np.cross(orientation[:, :3], orientation[:, 3:]))
    return (
        stacks.with_columns(pl.Series(name, across[:, n]) for n, name in enumerate(_NORMAL))
        .with_columns(
            of_grid=pl.col("images").sum().cast(pl.Int64).over(grid),
            first=pl.int_range(pl.len()).min().over(grid),
        )
        .sort(*_SERIES, -pl.col("of_grid"), "first", "orientation_group")
        .with_columns(grid=pl.struct(grid).rle_id())
        # Of one shape and spacing, the stacks' numbers are those of the orientation groups.
        .with_columns(stack=pl.int_range(pl.len(), dtype=pl.Int32).over(_SERIES))
    )


def _axis_of(kind: str) -> pl.Expr:
    """The axis across the slices of the kind that a column names."""
    return pl.col(kind).replace_strict(_AXES, default=None, return_dtype=pl.Int8)


def _fits(kind: str) -> pl.Expr:
    """Whether a stack leans little enough to be of the kind that a column names."""
    lean = np.cos(np.radians(LARGEST_LEAN_DEGREES))
    return pl.any_horizontal(
        (_axis_of(kind) == n) & (pl.col(name) >= lean) for n, name in enumerate(_NORMAL)
    )


def _with_kind(stacks: pl.DataFrame) -> pl.DataFrame:
    """Add `kind`: what the series' plane lets it be used as; null where the plane denies it all.

    A series whose plane is not the described one is of its own plane's T2 kind, where the study
    has no other series of that kind. Of several sagittal ones, none can be told to be T2.
    """
    planes = [
        pl.col("images").filter(pl.col(name) >= OBLIQUE).sum().alias(f"images_{n}")
        for n, name in enumerate(_NORMAL)
    ]
    counts = ["images_0", "images_1", "images_2"]
    series = (
        stacks.with_columns(axis=_axis_of("series_description"))
        .group_by(_SERIES, maintain_order=True)
        .agg(
            pl.col("split", "series_description", "axis").first(),
            *planes,
            fitting=pl.col("images").filter(_fits("series_description")).sum(),
        )
        .with_columns(most=pl.max_horizontal(counts))
        .with_columns(
            contradicts=pl.col("axis").is_not_null() & (2 * pl.col("fitting") < pl.col("most")),
            own_axis=pl.concat_list(counts).list.arg_max(),
        )
    )
    contradicting = series.filter("contradicts")
    if contradicting.is_empty():
        kinds = series.select(*_SERIES, kind="series_description")
        return stacks.join(kinds, on=_SERIES, how="left", maintain_order="left")
    t2 = pl.col("own_axis").replace_strict(_T2_OF_AXIS, default=None, return_dtype=pl.String)
    split = ["split", "study_id", "kind"]
    rightly = series.filter(~pl.col("contradicts")).select(*split[:2], kind="series_description")
    # Where two contend for one kind, the one that is called T2 goes first.
    says_t2 = pl.col("series_description") != str(SeriesDescription.SAGITTAL_T1)
    read = (
        contradicting.with_columns(kind=t2, says_t2=says_t2)
        .filter(pl.col("kind").is_not_null())
        .join(rightly, on=split, how="anti", nulls_equal=True)
        .filter(pl.col("says_t2") == pl.col("says_t2").max().over(split))
        .filter((pl.col("own_axis") == 2) | (pl.len().over(split) == 1))
    )
    kinds = pl.concat(
        [
            series.filter(~pl.col("contradicts")).select(*_SERIES, kind="series_description"),
            read.select(*_SERIES, "kind"),
        ]
    )
    return stacks.join(kinds, on=_SERIES, how="left", maintain_order="left")


def _judged(stacks: pl.DataFrame, images: pl.DataFrame, stack: list[str]) -> pl.DataFrame:
    """Add `used_as` and `set_aside`, echoes apart.

    Args:
        stacks: a row a stack.
        images: of all of them.
        stack: the columns by which an image is of a stack.
    """
    spacing = _grid_spacing()
    sides = [pl.col(pixels) * pl.col(mm) for pixels, mm in zip(_GRID[:2], spacing, strict=True)]
    stacks = stacks.with_columns(
        fits=_fits("kind"), longer_mm=pl.max_horizontal(sides), pixel_mm=pl.max_horizontal(spacing)
    ).with_columns(
        fitting=pl.col("images").filter("fits").sum().over("grid"),
        widest=pl.col("images").filter("fits").max().over("grid"),
    )
    # The acquisition that most images of the right plane are of; of equals the finer.
    main = (
        stacks.filter("fits")
        .sort(*_SERIES, -pl.col("fitting").cast(pl.Int64), "pixel_mm", "grid")
        .unique(_SERIES, keep="first", maintain_order=True)
        .select(
            *_SERIES,
            main="grid",
            most="fitting",
            main_longer_mm="longer_mm",
            main_pixel_mm="pixel_mm",
        )
    )
    stacks = stacks.join(main, on=_SERIES, how="left", maintain_order="left")
    field, pixels = (_ratio(name, f"main_{name}") for name in ("longer_mm", "pixel_mm"))
    is_axial = pl.col("kind") == str(SeriesDescription.AXIAL_T2)
    other_pixels = (
        pl.when(is_axial & (pl.col("fitting") > _FEW_AXIAL))
        .then(_OTHER_FIELD)
        .otherwise(_OTHER_PIXELS)
    )
    other_grid = (pl.col("fitting") <= _FEW_OF_A_GRID * pl.col("most")) & (
        (field >= _OTHER_FIELD) | (pixels >= other_pixels)
    )
    coarser = pl.col("pixel_mm") >= _COARSE_PIXELS * pl.col("main_pixel_mm")
    other_grid |= ~is_axial & coarser & (pl.col("grid") != pl.col("main"))
    stacks = stacks.with_columns(other_grid=other_grid.fill_null(False))
    axial = stacks.filter("fits", "other_grid", is_axial)
    alone = [] if axial.is_empty() else _grids_at_own_places(axial, stacks, images, stack)
    other_grid = pl.col("other_grid") & ~pl.col("grid").is_in(alone)
    # A sagittal series is of one angle; each disc may have its own axial one.
    other_angle = ~is_axial & (pl.col("images") <= _FEW_AT_AN_ANGLE * pl.col("widest"))
    described = pl.col("series_description").is_not_null()
    localizer = pl.col("kind").is_not_null() & (
        ~pl.col("fits") | (other_grid | other_angle).fill_null(False)
    )
    return stacks.with_columns(
        used_as=pl.when(~localizer).then("kind"),
        set_aside=pl.when(localizer)
        .then(pl.lit(str(SetAside.LOCALIZER)))
        .when(described & pl.col("kind").is_null())
        .then(pl.lit(str(SetAside.ANOTHER_PLANE))),
    )


def _grids_at_own_places(
    suspects: pl.DataFrame, stacks: pl.DataFrame, images: pl.DataFrame, stack: list[str]
) -> list[int]:
    """The axial grids most of whose slices show what their series' main grid does not.

    A stack does where no slice of the main grid is near; slices far from one another, as those of a
    localizer, where they lie beyond all of these.
    """
    fitting = stacks.filter("fits").select(*stack, "grid", "main")
    placed = images.join(fitting, on=stack, how="inner", maintain_order="left")
    alone = []
    for grid, main in suspects.select("grid", "main").unique(maintain_order=True).iter_rows():
        own, others = _heights(placed.filter(grid=grid)), _heights(placed.filter(grid=main))
        gaps = np.diff(np.sort(own))
        if len(gaps) and np.median(gaps) <= _STACK_STEP_MM:
            shown = np.abs(own[:, None] - others).min(axis=1) <= _SAME_SHOWN_MM
        else:
            shown = (own >= others.min()) & (own <= others.max())
        if 2 * shown.sum() < len(own):
            alone.append(grid)
    return alone


def _heights(images: pl.DataFrame) -> NDArray[np.float64]:
    """(n,) how high the middles of images lie, in mm."""
    orientation = images["orientation"].to_numpy().reshape(-1, 2, 3)[..., 2]
    spacing = images.select("column_spacing_mm", "row_spacing_mm").to_numpy()
    sides_mm = images.select("columns", "rows").to_numpy() * spacing / 2
    heights: NDArray[np.float64] = images["position_mm"].to_numpy().reshape(-1, 3)[:, 2] + (
        orientation * sides_mm
    ).sum(axis=1)
    return heights


def _ratio(one: str, other: str) -> pl.Expr:
    return pl.max_horizontal(pl.col(one) / pl.col(other), pl.col(other) / pl.col(one))


def _second_contrasts(rows: pl.DataFrame, annotations: pl.DataFrame | None) -> pl.Series:
    """Which used images show a place at another echo than the one that is used there.

    Of the echoes of a series that share places, the one most points are annotated on is used, else
    the later one of T2, the earlier one of T1. Images without an EchoTime are of an echo of their
    own, of which points alone can tell.
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
        t1 = series["used_as"][0] == str(SeriesDescription.SAGITTAL_T1)
        echoes = (
            series.group_by("echo")
            .agg(pl.col("points").sum(), "row", places=pl.col("place").unique())
            .sort("points", "echo", descending=[True, not t1], nulls_last=True)
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
    """The images in the order of places, with a number that those at one place share."""
    images = images.sort("split", *_SERIES, "orientation_group", "normal_position_mm")
    apart = (pl.col("normal_position_mm").diff().abs() > SAME_PLACE_MM).fill_null(True)
    group = pl.struct("split", *_SERIES, "orientation_group").rle_id().diff().fill_null(1) > 0
    return images.with_columns(place=(apart | group).cum_sum())


def _count_points(annotations: pl.DataFrame | None) -> pl.DataFrame:
    """How many points are annotated on each training image."""
    if annotations is None:
        annotations = pl.DataFrame(schema=dict.fromkeys(_INSTANCE, pl.Int64))
    return annotations.group_by(_INSTANCE).agg(split=pl.lit("train"), points=pl.len())


def summarise_use(instances: pl.LazyFrame) -> pl.DataFrame:
    """The images that are not used as their series is described.

    Returns:
        split, study_id, series_id, series_description, used_as and set_aside (one of both is null),
        and images: how many.
    """
    key = ["split", *_SERIES, "series_description", "used_as", "set_aside"]
    otherwise = pl.col("set_aside").is_not_null() | (
        pl.col("used_as") != pl.col("series_description")
    )
    odd = instances.filter(otherwise.fill_null(False)).select(key)
    return odd.group_by(key, maintain_order=True).agg(images=pl.len().cast(pl.Int64)).collect()


def list_undecided(instances: pl.LazyFrame, spell: Spell = str) -> list[str]:
    """Series most of whose places have several used images, some of them without EchoTime."""
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
    """What `summarise_use` found, a line a kind, with the series' names."""
    lines = []
    for (used_as, set_aside), rows in summary.group_by("used_as", "set_aside", maintain_order=True):
        ids = rows.select(_SERIES).iter_rows()
        named = few([f"{spell(study)}/{spell(series)}" for study, series in ids])
        what = f"set aside: {set_aside}" if used_as is None else f"read as {used_as} by their plane"
        lines.append(
            f"{rows['images'].sum()} images {what}, of series {named}; the catalog's table "
            "instances has each (used_as, set_aside)"
        )
    return lines
