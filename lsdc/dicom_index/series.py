"""Series and studies: summaries of their instances."""

from itertools import chain

import dataframely as dy
import numpy as np
import polars as pl

from lsdc.dicom_index.image_use import SAME_PLACE_MM
from lsdc.dicom_index.instance_table import IDS, SERIES_DESCRIPTION, split_column
from lsdc.dicom_index.instances import SERIES_ID
from lsdc.dicom_index.series_kinds import OBLIQUE
from lsdc.tables.table import Table, one_of, real

_COUNTS = [
    "images",
    "quarantined",
    "orientation_groups",
    "gaps",
    "duplicate_positions",
    "shapes",
    "id_mismatches",
]

# The slices of a series that share an orientation.
_STACK = [*SERIES_ID, "orientation_group"]
_PLANES = ("sagittal", "coronal", "axial")
_NORMAL, _PLACE = ["normal_0", "normal_1", "normal_2"], ["place_0", "place_1", "place_2"]
# The order of instance numbers if x, y or z increases with them, and if it decreases (LPS).
_ORDERS = (
    ("right to left", "left to right"),
    ("front to back", "back to front"),
    ("feet to head", "head to feet"),
)


class Series(Table):
    """One row per series that is listed or found."""

    split = split_column()
    study_id = dy.Int64(nullable=True, description=IDS)
    series_id = dy.Int64(nullable=True, description=IDS)
    series_description = dy.String(nullable=True, description=SERIES_DESCRIPTION)
    images = dy.Int64(
        min=0, description="Number of usable images; each frame of Enhanced MR is one."
    )
    quarantined = dy.Int64(min=0, description="Number of files that cannot be used.")
    orientation_groups = dy.Int64(min=0, description="Number of groups of parallel slices.")
    plane = dy.String(
        nullable=True,
        check=one_of([*_PLANES, "oblique"]),
        description="Plane of the median normal of the slices: sagittal, coronal or axial, or "
        "oblique if the normal is more than 41 degrees from each axis.",
    )
    order = dy.String(
        nullable=True,
        check=one_of([*chain.from_iterable(_ORDERS), "mixed"]),
        description="Direction in which instance numbers increase, such as left to right or head "
        "to feet; or mixed.",
    )
    first_instance = dy.Int64(nullable=True, description="The lowest instance number.")
    last_instance = dy.Int64(nullable=True, description="The highest instance number.")
    gaps = dy.Int64(
        description=(
            "Number of instance numbers that are missing between first_instance and last_instance."
        )
    )
    duplicate_positions = dy.Int64(
        min=0, description="Number of slices within 0.01 mm of another slice of their group."
    )
    shapes = dy.Int64(min=0, description="Number of different sizes in pixels.")
    slice_spacing_mm = real("Median distance between neighbouring slices.", nullable=True)
    extent_mm = real(
        "Length of the longest group of parallel slices; a series of angled stacks covers more.",
        nullable=True,
    )
    id_mismatches = dy.Int64(
        min=0,
        description="Number of files with an id mismatch (id_mismatch in the table instances).",
    )


class Studies(Table):
    """One row per study that is listed or found."""

    split = split_column()
    study_id = dy.Int64(nullable=True, description=IDS)
    usable = dy.Bool(description="Whether the study has any usable image.")
    images = dy.Int64(min=0, description="Number of usable images.")
    series = dy.Int64(min=1, description="Number of series.")


def summarise_series(instances: pl.DataFrame, quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return one row per series with any file, usable or not (`Series`), sorted by id."""
    shape = pl.struct("rows", "columns")
    counted = instances.group_by(SERIES_ID, maintain_order=True).agg(
        pl.col("series_description").first(),
        images=pl.len().cast(pl.Int64),
        orientation_groups=pl.col("orientation_group").n_unique().cast(pl.Int64),
        first_instance=pl.col("instance_number").min(),
        last_instance=pl.col("instance_number").max(),
        # Numbers between the first and the last that no image has.
        gaps=pl.col("instance_number").max()
        - pl.col("instance_number").min()
        + 1
        - pl.col("instance_number").n_unique(),
        shapes=shape.n_unique().cast(pl.Int64),
        id_mismatches=pl.col("id_mismatch").sum().cast(pl.Int64),
    )
    known = quarantine.filter(pl.col("series_id").is_not_null())
    bad = known.group_by(SERIES_ID).agg(quarantined=pl.len().cast(pl.Int64))
    return (
        counted.join(
            _geometry(instances), on=SERIES_ID, how="left", nulls_equal=True, maintain_order="left"
        )
        # A full join, since a series may have no usable file.
        .join(bad, on=SERIES_ID, how="full", nulls_equal=True, coalesce=True)
        .sort(SERIES_ID)
        .with_columns(pl.col(_COUNTS).fill_null(0))
        .select(pl.col(name).cast(kind) for name, kind in pl.Schema(Series).items())
    )


def add_listed(series: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Return the series that the tables list, in their order, then the others.

    Args:
        series: `Series`, one row per series with any file.
        listed: the columns split, study_id, series_id, series_description.
    """
    first = listed.select("series_description", *SERIES_ID).join(
        series.drop("series_description"), on=SERIES_ID, how="left", maintain_order="left"
    )
    others = series.join(listed, on=SERIES_ID, how="anti", maintain_order="left")
    return pl.concat(
        [
            part.with_columns(pl.col(_COUNTS).fill_null(0)).select(Series.column_names())
            for part in (first, others)
        ]
    )


def summarise_studies(series: pl.DataFrame) -> pl.DataFrame:
    """Return one row per study: usable or not, number of images and number of series."""
    return series.group_by("split", "study_id", maintain_order=True).agg(
        usable=pl.col("images").sum() > 0,
        images=pl.col("images").sum(),
        series=pl.len().cast(pl.Int64),
    )


def _geometry(instances: pl.DataFrame) -> pl.DataFrame:
    """Return each series' plane, order, spacing, extent and number of repeated positions."""
    # (images, 6) directions, (images, 3) sizes of the normal's components, (images, 3) mm.
    orientation = instances["orientation"].to_numpy().reshape(-1, 6)
    normals = np.abs(np.cross(orientation[:, :3], orientation[:, 3:]))
    position = instances["position_mm"].to_numpy().reshape(-1, 3)
    rows = instances.select(*_STACK, "instance_number", along="normal_position_mm").with_columns(
        *(pl.Series(name, normals[:, axis]) for axis, name in enumerate(_NORMAL)),
        *(pl.Series(name, position[:, axis]) for axis, name in enumerate(_PLACE)),
    )
    series = _main_axes(rows)
    for more in (_directions(rows, series), _gaps(rows), _extents(rows)):
        series = series.join(more, on=SERIES_ID, how="left", nulls_equal=True)
    axis = pl.col("axis")
    return series.select(
        *SERIES_ID,
        "slice_spacing_mm",
        "duplicate_positions",
        "extent_mm",
        plane=pl.when(pl.col("share") < OBLIQUE)
        .then(pl.lit("oblique"))
        .otherwise(axis.replace_strict(dict(enumerate(_PLANES)), return_dtype=pl.String)),
        order=pl.when(pl.col("grows") & pl.col("falls"))
        .then(pl.lit("mixed"))
        .when(pl.col("grows"))
        .then(axis.replace_strict({n: both[0] for n, both in enumerate(_ORDERS)}))
        .when(pl.col("falls"))
        .then(axis.replace_strict({n: both[1] for n, both in enumerate(_ORDERS)})),
    )


def _main_axes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the axis (0 to 2) nearest to each series' normal, and its share of the normal."""
    return (
        rows.group_by(SERIES_ID, maintain_order=True)
        .agg(pl.col(_NORMAL).median())
        .with_columns(share=pl.max_horizontal(_NORMAL), axis=pl.concat_list(_NORMAL).list.arg_max())
    )


def _directions(rows: pl.DataFrame, axes: pl.DataFrame) -> pl.DataFrame:
    """Return whether positions on a series' main axis grow or fall with the instance number."""
    return (
        rows.join(
            axes.select(*SERIES_ID, "axis"),
            on=SERIES_ID,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(place=pl.concat_list(_PLACE).list.get(pl.col("axis")))
        .sort(*_STACK, "instance_number")
        # In mm from the image before; null for the first of a stack, which does not count.
        .with_columns(step=pl.col("place").diff().over(_STACK))
        .group_by(SERIES_ID)
        .agg(
            grows=(pl.col("step") > SAME_PLACE_MM).any(),
            falls=(pl.col("step") < -SAME_PLACE_MM).any(),
        )
    )


def _gaps(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the median gap between slices of each series, and how many repeat a position."""
    gap = pl.col("gap")
    return (
        rows.select(*_STACK, "along")
        .sort(*_STACK, "along")
        # In mm from the slice before; null for the first of a stack, which does not count.
        .with_columns(gap=pl.col("along").diff().over(_STACK))
        .group_by(SERIES_ID)
        .agg(
            slice_spacing_mm=gap.median(),
            duplicate_positions=(gap < SAME_PLACE_MM).sum().cast(pl.Int64),
        )
    )


def _extents(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the extent of each series' longest stack of slices, along its normal."""
    return (
        rows.group_by(_STACK)
        .agg(extent=pl.col("along").max() - pl.col("along").min())
        .group_by(SERIES_ID)
        .agg(extent_mm=pl.col("extent").max())
    )
