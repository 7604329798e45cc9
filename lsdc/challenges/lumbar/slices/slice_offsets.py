"""Slice offsets: the position of each slice relative to each level point, in patient space.

In DICOM's patient space (LPS) +x points to the patient's left and +z to the head. Instance
numbers, slice order and PatientPosition do not show the side and are not used.
"""

from pathlib import Path

import dataframely as dy
import numpy as np
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.annotations.patient_space import place_annotations, planes_of
from lsdc.challenges.lumbar.vocabulary import Condition, SeriesDescription, Side
from lsdc.dicom_index.image_use import used_images
from lsdc.dicom_index.series_kinds import LARGEST_LEAN_DEGREES
from lsdc.geometry.planes import FloatArray, Planes
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table, one_of, real

_KEY = ("split", "study_id", "series_id", "instance_number", "series_description")
_XYZ = ["x_mm", "y_mm", "z_mm"]
_LEFT = np.array([1.0, 0.0, 0.0])
_HEAD = np.array([0.0, 0.0, 1.0])
# The conditions whose landmarks mark a level's sides: whether on axial slices, and which side.
_LANDMARKS = {
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING: (False, Side.LEFT),
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING: (False, Side.RIGHT),
    Condition.LEFT_SUBARTICULAR_STENOSIS: (True, Side.LEFT),
    Condition.RIGHT_SUBARTICULAR_STENOSIS: (True, Side.RIGHT),
}


_FROM_SIDES = (
    "Signed distance of the slice's plane from the landmark of this side: the foramen (sagittal "
    "slices) or the subarticular zone (axial slices); null if there is no landmark."
)
_DROPPED = "The level point projected onto the slice: x is the column, y the row."


class Slices(Table):
    """One row per slice and level: the position of the slice relative to the level point."""

    split = columns.split()
    study_id = columns.study()
    series_id = columns.series()
    instance_number = columns.image()
    series_description = dy.String(
        check=one_of(SeriesDescription),
        description="The series description under which a run uses the slice.",
    )
    level = columns.level()
    offset_mm = real(
        "Signed distance of the slice's plane from the level point. Positive: towards the "
        "patient's left (sagittal slices) or towards the head (axial slices)."
    )
    left_offset_mm = real(_FROM_SIDES, nullable=True)
    right_offset_mm = real(_FROM_SIDES, nullable=True)
    x_px = real(_DROPPED)
    y_px = real(_DROPPED)
    height_mm = real("Height of ImagePositionPatient above the level point.")
    image_share = real(
        "Vertical position of the point in the image, as a fraction of the image's height: 0 "
        "at the top, 1 at the bottom."
    )
    inside = dy.Bool(
        description=(
            "Whether the slice shows the level: the point is inside the image, and the plane is "
            "tilted by at most 60 degrees from the sagittal or axial plane."
        )
    )
    patient_left_is_image_right = dy.Bool(
        description="Whether an axial slice is stored with the patient's left on the right."
    )
    stack = dy.Int32(description="Number of the stack in the series, as in the table instances.")


class Conflicts(Table):
    """One row per annotated point on the wrong side of its level point: left by name and right by
    position, or the reverse.
    """

    study_id = columns.study()
    series_id = columns.series()
    instance_number = columns.image()
    condition = columns.condition()
    level = columns.level()
    offset_mm = real("Distance from the level point, towards the patient's left.")
    named_side = dy.String(check=one_of(Side), description="The side that the condition names.")
    side = dy.String(check=one_of(Side), description="The side on which the point lies.")


def measure_offsets(
    instances: pl.DataFrame,
    points: pl.DataFrame,
    annotations: pl.DataFrame | None,
    out: Path,
    *,
    landmarks: pl.DataFrame | None = None,
) -> int:
    """Measure every used slice against every level point of its study; write two tables.

    `slices.parquet` is the table `Slices`, whose side offsets are null without `landmarks`;
    `conflicts.parquet` is the table `Conflicts`, only written if annotations are given.

    Returns:
        Number of rows of `slices`.
    """
    slices = _slices(instances, points, landmarks)
    write_table(Slices, slices, out / "slices.parquet")
    if annotations is not None:
        conflicts = _conflicts(instances, points, annotations)
        write_table(Conflicts, conflicts, out / "conflicts.parquet")
    return len(slices)


def _slices(
    instances: pl.DataFrame, points: pl.DataFrame, landmarks: pl.DataFrame | None
) -> pl.DataFrame:
    pairs = used_images(instances).join(
        points.drop("split"), on="study_id", how="inner", maintain_order="left_right"
    )
    planes = planes_of(pairs)
    level_points = pairs.select(_XYZ).to_numpy()
    is_axial = pairs["series_description"] == SeriesDescription.AXIAL_T2
    outward = np.where(is_axial.to_numpy()[:, None], _HEAD, _LEFT)
    facing = np.sum(planes.normal * outward, axis=1)
    pixels = planes.to_pixel(level_points)
    shows = np.abs(facing) >= np.cos(np.radians(LARGEST_LEAN_DEGREES))
    return pairs.select(
        *_KEY,
        "level",
        pl.Series("offset_mm", _offset_mm(planes, facing, level_points)),
        *(
            pl.Series(f"{side}_offset_mm", _offset_mm(planes, facing, points_mm), nan_to_null=True)
            for side, points_mm in _landmarks_beside(pairs, is_axial, landmarks).items()
        ),
        pl.Series("x_px", pixels[:, 0]),
        pl.Series("y_px", pixels[:, 1]),
        height_mm=pl.col("position_mm").arr.get(2) - pl.col("z_mm"),
        image_share=pl.Series(pixels[:, 1]) / (pl.col("rows") - 1),
        inside=pl.Series(shows)
        & pl.Series(pixels[:, 0]).is_between(0, pairs["columns"] - 1)
        & pl.Series(pixels[:, 1]).is_between(0, pairs["rows"] - 1),
        patient_left_is_image_right=pl.Series(planes.row_direction[:, 0] > 0),
        stack="stack",
    )


def _offset_mm(planes: Planes, facing: FloatArray, points_mm: FloatArray) -> FloatArray:
    """Return the signed distances (n,) of planes from points, in the direction of their kind."""
    # The plane's distance from the point is minus the point's from the plane; the sign of the
    # normal depends on how the file stores rows and columns.
    return -planes.signed_distance(points_mm) * np.sign(facing)


def _landmarks_beside(
    pairs: pl.DataFrame, is_axial: pl.Series, landmarks: pl.DataFrame | None
) -> dict[Side, FloatArray]:
    """Return each side's landmark (n, 3) for each slice and level, NaN where there is none."""
    if landmarks is None:
        return {side: np.full((len(pairs), 3), np.nan) for side in Side}
    wanted = pairs.select("study_id", "level", is_axial=is_axial)
    found = {}
    for side in Side:
        marks = {str(mark): axial for mark, (axial, of) in _LANDMARKS.items() if of == side}
        table = landmarks.filter(pl.col("condition").is_in(list(marks))).select(
            "study_id",
            "level",
            *_XYZ,
            is_axial=pl.col("condition").replace_strict(marks, return_dtype=pl.Boolean),
        )
        beside = wanted.join(
            table, on=["study_id", "level", "is_axial"], how="left", maintain_order="left"
        )
        found[side] = beside.select(_XYZ).to_numpy()
    return found


def _conflicts(
    instances: pl.DataFrame, points: pl.DataFrame, annotations: pl.DataFrame
) -> pl.DataFrame:
    """Return left and right annotations that are on the opposite side of their level point."""
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
