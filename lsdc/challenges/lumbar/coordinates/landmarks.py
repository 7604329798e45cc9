"""Landmarks: the position of each condition at a level, and the slice that shows it best.

The canal is seen on T2, the foramina on T1, the subarticular zones on axial slices.
"""

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.annotations.patient_space import place_annotations, planes_of
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition
from lsdc.dicom_index.image_use import used_images
from lsdc.tables.table import Table, real

Floats = NDArray[np.float64]

_SLICE = (
    "The nearest slice of the right series type whose image contains the point, or the slice on "
    "which the point was annotated; null if there is none."
)
_ON_SLICE = "Position of the point on that slice: x is the column, y the row."


class Landmarks(Table):
    """One row per study, condition and level: the position of the landmark, and the slice that
    shows it best.
    """

    split = columns.split(primary_key=True)
    study_id = columns.study(primary_key=True)
    condition = columns.condition(primary_key=True)
    level = columns.level(primary_key=True)
    x_mm = real(columns.WORLD)
    y_mm = real(columns.WORLD)
    z_mm = real(columns.WORLD)
    confidence = columns.confidence()
    source = columns.source()
    series_id = dy.Int64(nullable=True, description=_SLICE)
    instance_number = dy.Int64(nullable=True, description=_SLICE)
    x_px = real(_ON_SLICE, nullable=True)
    y_px = real(_ON_SLICE, nullable=True)
    distance_mm = real("Distance of the point from that slice.", nullable=True)


class Sides(Table):
    """One row per detected point of a side."""

    study_id = columns.study(primary_key=True)
    condition = columns.condition(primary_key=True)
    level = columns.level(primary_key=True)
    x_mm = real(columns.WORLD)
    y_mm = real(columns.WORLD)
    z_mm = real(columns.WORLD)
    confidence = columns.confidence()


# Offset from the level point to the landmark in a typical adult (LPS): foramina are beside the
# canal, a little in front of it and above the disc, subarticular zones in front of its corners.
TYPICAL_OFFSETS_MM: dict[Condition, tuple[float, float, float]] = {
    Condition.SPINAL_CANAL_STENOSIS: (0.0, 0.0, 0.0),
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING: (17.0, -4.0, 5.0),
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING: (-17.0, -4.0, 5.0),
    Condition.LEFT_SUBARTICULAR_STENOSIS: (10.0, -4.0, 0.0),
    Condition.RIGHT_SUBARTICULAR_STENOSIS: (-10.0, -4.0, 0.0),
}
# Factor on the level point's confidence for a landmark that is derived from it.
FILLED_SHARE = 0.25

# A slice within this distance of a point shows it, if the point falls inside the image.
REACH_MM = 8.0

_KEY = ["study_id", "condition", "level"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
_FILE = ["series_id", "instance_number"]


def typical_landmarks(points: pl.DataFrame) -> pl.DataFrame:
    """Return every level's landmarks at their typical offsets from the level point.

    The canal's landmark is the level point itself.

    Args:
        points: a points table.

    Returns: the landmarks table without the slices.
    """
    offsets = pl.DataFrame(
        [(str(condition), *offset) for condition, offset in TYPICAL_OFFSETS_MM.items()],
        schema=["condition", "dx", "dy", "dz"],
        orient="row",
    )
    canal = pl.col("condition") == str(Condition.SPINAL_CANAL_STENOSIS)
    return points.join(offsets, how="cross", maintain_order="left_right").select(
        "split",
        *_KEY,
        *(pl.col(f"{axis}_mm") + pl.col(f"d{axis}") for axis in "xyz"),
        pl.col("confidence") * pl.when(canal).then(1.0).otherwise(FILLED_SHARE),
        pl.when(canal).then("source").otherwise(pl.lit("filled")).alias("source"),
    )


def join_landmarks(
    points: pl.DataFrame, sides: pl.DataFrame, instances: pl.DataFrame
) -> pl.DataFrame:
    """Return the landmarks table: sides as detected, else at their typical offsets.

    Args:
        points: a points table.
        sides: a table (`Sides`) of the detected sides.
        instances: the instances table.
    """
    seen = sides.with_columns(source=pl.lit("predicted"))
    landmarks = typical_landmarks(points).update(seen, on=_KEY)
    return sorted_landmarks(with_slices(landmarks, instances))


def shown_on_images(points: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Return the points without filled ones that no image of their study shows."""
    doubtful = points.filter(source="filled")
    images = used_images(instances)
    pairs = doubtful.select("study_id", "level", *_XYZ).join(images, on="study_id", how="inner")
    planes, places = planes_of(pairs), pairs.select(_XYZ).to_numpy()
    pixels = planes.to_pixel(places)
    inside = (pixels >= 0) & (pixels <= pairs.select("columns", "rows").to_numpy() - 1)
    near = np.abs(planes.signed_distance(places)) <= REACH_MM
    shown = pairs.filter(pl.Series(near & inside.all(axis=1)))
    unseen = doubtful.join(shown, on=["study_id", "level"], how="anti")
    return points.join(unseen, on=["study_id", "level"], how="anti", maintain_order="left")


def annotated_landmarks(
    points: pl.DataFrame, instances: pl.DataFrame, annotations: pl.DataFrame
) -> pl.DataFrame:
    """Return the landmarks table of annotated points; missing ones get their typical offsets.

    The slice of an annotated landmark is the one it was annotated on.

    Args:
        points: a points table.
        instances: the instances table.
        annotations: the annotations table.
    """
    marked = place_annotations(instances, annotations).unique(_KEY, keep="first")
    marked = marked.select(*_KEY, *_XYZ, *_FILE)
    canal = pl.col("condition") == str(Condition.SPINAL_CANAL_STENOSIS)
    # The canal's landmark is the level point, where that comes from an annotation.
    resting = points.filter(source="annotated").select("study_id", "level", *_XYZ)
    canals = marked.filter(canal).drop(_XYZ).join(resting, on=["study_id", "level"], how="inner")
    own = pl.concat([marked.filter(~canal), canals.select(marked.columns)])
    images = instances.unique(["study_id", *_FILE], keep="first")
    planes = planes_of(own.join(images, on=["study_id", *_FILE], how="left", maintain_order="left"))
    places = own.select(_XYZ).to_numpy()
    pixels = planes.to_pixel(places)
    own = own.with_columns(
        pl.Series("x_px", pixels[:, 0]),
        pl.Series("y_px", pixels[:, 1]),
        pl.Series("distance_mm", np.abs(planes.signed_distance(places))),
        confidence=pl.lit(1.0),
        source=pl.lit("annotated"),
    )
    return sorted_landmarks(with_slices(typical_landmarks(points), instances).update(own, on=_KEY))


def with_slices(landmarks: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Add to each landmark the nearest slice of its kind within whose image it falls.

    Only used images count; see `lsdc.dicom_index.image_use`.
    """
    pairs = (
        landmarks.with_row_index("row")
        .with_columns(series_description=columns.SHOWN_ON)
        .select("row", "study_id", "series_description", *_XYZ)
        .join(used_images(instances), on=["study_id", "series_description"], how="inner")
    )
    planes = planes_of(pairs)
    places = pairs.select(_XYZ).to_numpy()
    pixels = planes.to_pixel(places)
    nearest = (
        pairs.select(
            "row",
            "series_id",
            "instance_number",
            pl.Series("x_px", pixels[:, 0]),
            pl.Series("y_px", pixels[:, 1]),
            pl.Series("distance_mm", np.abs(planes.signed_distance(places))),
        )
        .filter(
            pl.col("x_px").is_between(-0.5, pairs["columns"] - 0.5)
            & pl.col("y_px").is_between(-0.5, pairs["rows"] - 0.5)
        )
        .sort("row", "distance_mm", "series_id", "instance_number")
        .unique("row", keep="first")
    )
    return (
        landmarks.with_row_index("row")
        .join(nearest, on="row", how="left", maintain_order="left")
        .select(pl.col(name).cast(kind) for name, kind in pl.Schema(Landmarks).items())
    )


def sorted_landmarks(landmarks: pl.DataFrame) -> pl.DataFrame:
    """Sort by split and study, then by condition and level in the vocabulary's order."""
    conditions, levels = (
        pl.col(name).cast(pl.Enum([str(word) for word in words]))
        for name, words in (("condition", CONDITIONS), ("level", LEVELS))
    )
    return landmarks.sort("split", "study_id", conditions, levels)
