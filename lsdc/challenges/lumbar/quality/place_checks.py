"""Check annotated points against their images and against one another's heights."""

import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import beside_canal, with_position
from lsdc.challenges.lumbar.columns import LEVEL_NUMBER
from lsdc.challenges.lumbar.coordinates.moves import annotated_moves
from lsdc.challenges.lumbar.quality.checks import check
from lsdc.challenges.lumbar.quality.level_agreement import OFF_LEVEL_MM
from lsdc.challenges.lumbar.vocabulary import SeriesDescription

# The competition's largest series has 192 slices, so larger numbers do not count slices.
HIGHEST_USUAL_INSTANCE = 500

_POINT = ["study_id", "series_id", "instance_number", "condition", "level"]
_SERIES = ["study_id", "series_id"]
_INSTANCE = [*_SERIES, "instance_number"]
_SAGITTAL = [str(SeriesDescription.SAGITTAL_T1), str(SeriesDescription.SAGITTAL_T2)]


@check("Points not below the level above", "points")
def levels_out_of_order(
    annotations: pl.DataFrame, listed: pl.DataFrame, train_instances: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return points that do not lie below the same condition's point at the level above.

    They are compared by height in mm if both are indexed, else on one sagittal series by y_px,
    which grows towards the feet.

    Returns:
        ids, condition, level, level_above.
    """
    column = ["study_id", "condition"]
    points = (
        with_position(annotations, train_instances)
        .join(listed, on=_SERIES, how="left", maintain_order="left")
        .sort(*column, LEVEL_NUMBER)
        .with_columns(
            pl.col("level", "series_id", "y_px", "z_mm").shift().over(column).name.suffix("_above")
        )
    )
    by_position = pl.col("z_mm").is_not_null() & pl.col("z_mm_above").is_not_null()
    by_pixels = (pl.col("series_id") == pl.col("series_id_above")) & pl.col(
        "series_description"
    ).is_in(_SAGITTAL)
    return points.filter(
        pl.col("level") != pl.col("level_above"),  # repeated points are checked elsewhere
        pl.when(by_position)
        .then(pl.col("z_mm") >= pl.col("z_mm_above"))
        .otherwise(by_pixels & (pl.col("y_px") <= pl.col("y_px_above"))),
    ).select(*_POINT, "level_above")


@check("Points on instance numbers over 500", "points")
def points_on_high_instance_numbers(annotations: pl.DataFrame) -> pl.DataFrame:
    """Return points on instance numbers too high to count slices: ids, condition, level."""
    return annotations.filter(pl.col("instance_number") > HIGHEST_USUAL_INSTANCE).select(_POINT)


@check("Points outside their image", "points")
def points_outside_their_image(
    annotations: pl.DataFrame, train_instances: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return points outside their image; without images, those above or left of the first pixel.

    Pixel centres are at integers, so an image reaches from -0.5 to columns - 0.5.

    Returns:
        ids, condition, level, x_px, y_px, columns, rows (null where the image is not indexed).
    """
    if train_instances is None:
        sized = annotations.with_columns(
            pl.lit(None, dtype=pl.Int32).alias(name) for name in ("rows", "columns")
        )
    else:
        sizes = train_instances.select(*_INSTANCE, "rows", "columns").unique(
            _INSTANCE, keep="first"
        )
        sized = annotations.join(sizes, on=_INSTANCE, how="left", maintain_order="left")
    before = (pl.col("x_px") < -0.5) | (pl.col("y_px") < -0.5)
    beyond = (pl.col("x_px") > pl.col("columns") - 0.5) | (pl.col("y_px") > pl.col("rows") - 0.5)
    return sized.filter(before | beyond.fill_null(False)).select(
        *_POINT, "x_px", "y_px", "columns", "rows"
    )


@check("Points on missing files", "points")
def points_on_missing_files(lost: pl.DataFrame) -> pl.DataFrame:
    """Return points without a file, on series that have files: ids, condition, level."""
    return lost.filter(pl.col("reason").is_null()).drop("reason")


@check("Points on files that cannot be used", "points")
def points_on_quarantined_files(lost: pl.DataFrame) -> pl.DataFrame:
    """Return points on files in quarantine: ids, condition, level, reason."""
    return lost.filter(pl.col("reason").is_not_null())


def points_without_an_image(
    annotations: pl.DataFrame,
    instances: pl.DataFrame,
    indexed: pl.DataFrame,
    quarantine: pl.DataFrame,
) -> pl.DataFrame:
    """Return points without a usable file, on series that have files.

    Returns:
        ids, condition, level, reason: why the file is in quarantine; null if there is no file.
    """
    with_files = indexed.filter(pl.col("images") + pl.col("quarantined") > 0)
    reasons = (
        quarantine.select(*_INSTANCE, "reason")
        .drop_nulls("instance_number")
        .unique(_INSTANCE, keep="first")
    )
    return (
        annotations.join(with_files, on=_SERIES, how="semi", maintain_order="left")
        .join(instances, on=_INSTANCE, how="anti", maintain_order="left")
        .join(reasons, on=_INSTANCE, how="left", maintain_order="left")
        .select(*_POINT, "reason")
    )


@check("Points over 20 mm from their level", "points")
def points_off_their_level(
    annotations: pl.DataFrame, train_instances: pl.DataFrame
) -> pl.DataFrame:
    """Return points over 20 mm above or below the canal point of their level.

    Returns:
        ids, condition, level, offset_mm: positive towards the head.
    """
    return (
        beside_canal(annotations, train_instances)
        .filter(pl.col("up_mm").abs() > OFF_LEVEL_MM)
        .select(*_POINT, offset_mm="up_mm")
    )


@check("Axial series displaced by over 10 mm", "series")
def axial_series_moved(annotations: pl.DataFrame, train_instances: pl.DataFrame) -> pl.DataFrame:
    """Return the series that the annotated points show to have moved, and their shifts."""
    return annotated_moves(train_instances, annotations).drop("source")
