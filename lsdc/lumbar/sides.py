"""Sides: where each slice lies relative to each level point, by world position alone.

In DICOM's patient space (LPS) +x points to the patient's left and +z to the head. Instance
numbers, slice order and PatientPosition say nothing about the side and are not looked at.
"""

from pathlib import Path

import numpy as np
import polars as pl

from lsdc.lumbar.places import place_annotations, planes_of
from lsdc.lumbar.vocabulary import Condition, SeriesDescription, Side
from lsdc.store.files import write_atomic

_KEY = ("split", "study_id", "series_id", "instance_number", "series_description")
_LEFT = np.array([1.0, 0.0, 0.0])
_HEAD = np.array([0.0, 0.0, 1.0])


def find_sides(
    instances: pl.DataFrame, points: pl.DataFrame, annotations: pl.DataFrame | None, out: Path
) -> int:
    """Place every slice against every level point of its study; write two tables into `out`.

    `slices.parquet`, a row a slice and level: `offset_mm` is how far the slice's plane lies from
    the level point, towards the patient's left for sagittal slices and towards the head for axial
    ones; `x_px, y_px` is the level point dropped onto the slice; `inside` whether that is within
    the image; `patient_left_is_image_right` how an axial slice is stored.

    `conflicts.parquet`, a row an annotation whose side, by position, is not the side it names; it
    is written where there are annotations.

    Returns:
        Rows of `slices`.
    """
    slices = _slices(instances, points)
    tables = {"slices": slices}
    if annotations is not None:
        tables["conflicts"] = _conflicts(instances, points, annotations)
    for name, table in tables.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)
    return len(slices)


def _slices(instances: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    pairs = instances.join(
        points.drop("split"), on="study_id", how="inner", maintain_order="left_right"
    )
    planes = planes_of(pairs)
    level_points = pairs.select("x_mm", "y_mm", "z_mm").to_numpy()
    is_axial = (pairs["series_description"] == SeriesDescription.AXIAL_T2).to_numpy()
    outward = np.where(is_axial[:, None], _HEAD, _LEFT)
    # The distance of the plane from the point is minus that of the point from the plane, and the
    # normal's own sense depends on how the file stores rows and columns.
    sense = np.sign(np.sum(planes.normal * outward, axis=1))
    pixels = planes.to_pixel(level_points)
    return pairs.select(
        *_KEY,
        "level",
        pl.Series("offset_mm", -planes.signed_distance(level_points) * sense),
        pl.Series("x_px", pixels[:, 0]),
        pl.Series("y_px", pixels[:, 1]),
        inside=pl.Series(pixels[:, 0]).is_between(0, pairs["columns"] - 1)
        & pl.Series(pixels[:, 1]).is_between(0, pairs["rows"] - 1),
        patient_left_is_image_right=pl.Series(planes.row_direction[:, 0] > 0),
    )


def _conflicts(
    instances: pl.DataFrame, points: pl.DataFrame, annotations: pl.DataFrame
) -> pl.DataFrame:
    """Sided annotations that lie on the other side of their level point."""
    placed = place_annotations(instances, annotations)
    named = {str(condition): condition.side for condition in Condition}
    middle = points.select("study_id", "level", middle_mm=pl.col("x_mm"))
    return (
        placed.join(middle, on=["study_id", "level"], how="inner", maintain_order="left")
        .with_columns(
            named_side=pl.col("condition").replace_strict(named, return_dtype=pl.String),
            offset_mm=pl.col("x_mm") - pl.col("middle_mm"),
        )
        .with_columns(
            side=pl.when(pl.col("offset_mm") > 0)
            .then(pl.lit(str(Side.LEFT)))
            .otherwise(pl.lit(str(Side.RIGHT)))
        )
        .filter(pl.col("named_side") != pl.col("side"))
        .select(
            "study_id",
            "series_id",
            "instance_number",
            "condition",
            "level",
            "offset_mm",
            "named_side",
            "side",
        )
    )
