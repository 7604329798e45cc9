"""Check annotated points against the side, left or right, that they name.

In DICOM's patient space (LPS) +x points to the patient's left; a point with an indexed image is
judged by its position in mm. Without images, an axial pair is judged by its pixels, since nearly
all axial images are stored with the patient's left at greater x_px: 8,769 of the 8,770 pairs in
the competition's tables. Sagittal pixels do not show the side.
"""

import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import beside_canal, with_position
from lsdc.challenges.lumbar.columns import KIND, LEVEL_NUMBER, SIDE
from lsdc.challenges.lumbar.quality.checks import check
from lsdc.challenges.lumbar.vocabulary import Side
from lsdc.tables.findings import Severity

# A canal point lies on a sagittal slice, so up to half a slice spacing from the midline.
CANAL_OFF_MIDDLE_MM = 3.0
# Foramina of one level lie 30 to 50 mm apart and recesses 15 to 25 mm: a reversed pair at least
# this far apart has its sides swapped; a closer one is merely placed badly.
PAIR_APART_MM = 10.0
# Left and right foramina of one level lie at equal height; this fraction of the step between
# levels is in a gap of the competition's table: 1,922 series up to 0.4, 51 from 0.8 on.
APART_STEPS = 0.6

_POINT = ["study_id", "series_id", "instance_number", "condition", "level"]


def side_pairs(annotations: pl.DataFrame, instances: pl.DataFrame | None) -> pl.DataFrame:
    """Pair left and right points of a study, kind and level: one row per pair.

    Args:
        annotations: as `competition.tables` reads them; of repeated points the first counts.
        instances: the instances of the same split; None where there are no images.

    Returns:
        study_id, kind ("foraminal" or "subarticular"), level, then for left_ and right_ each:
        series_id, instance, x_px and x_mm (null where the image is not indexed).
    """
    cell = ["study_id", "kind", "level"]
    points = (
        with_position(annotations, instances)
        .filter(SIDE.is_not_null())
        .unique(["study_id", "condition", "level"], keep="first", maintain_order=True)
        .with_columns(kind=KIND, side=SIDE)
    )
    left, right = (
        points.filter(side=str(side)).select(
            *cell,
            pl.col("series_id").alias(f"{side}_series_id"),
            pl.col("instance_number").alias(f"{side}_instance"),
            pl.col("x_px").alias(f"{side}_x_px"),
            pl.col("x_mm").alias(f"{side}_x_mm"),
        )
        for side in (Side.LEFT, Side.RIGHT)
    )
    return left.join(right, on=cell, how="inner", maintain_order="left")


@check("Left and right points swapped", "pairs")
def swapped_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs whose left point lies to the right of their right point.

    They are judged by position in mm if both are indexed, else axial pairs in one series by pixels.

    Returns:
        The columns of `side_pairs`, `judged_by` ("position" or "pixels"), `pairs_in_series` (the
        number of pairs with the left point in that series), and `swapped_in_series`, how many of
        them are swapped: if all are, the series may equally be stored mirrored.
    """
    by_position = pl.col("left_x_mm").is_not_null() & pl.col("right_x_mm").is_not_null()
    by_pixels = (pl.col("kind") == "subarticular") & (
        pl.col("left_series_id") == pl.col("right_series_id")
    )
    swapped = (
        pl.when(by_position)
        .then(pl.col("left_x_mm") < pl.col("right_x_mm"))
        .otherwise(by_pixels & (pl.col("left_x_px") < pl.col("right_x_px")))
    )
    return (
        pairs.with_columns(
            swapped=swapped,
            judged_by=pl.when(by_position).then(pl.lit("position")).otherwise(pl.lit("pixels")),
            pairs_in_series=pl.len().over("left_series_id").cast(pl.Int64),
        )
        .with_columns(swapped_in_series=pl.col("swapped").sum().over("left_series_id"))
        .filter("swapped")
        .drop("swapped")
        .with_columns(pl.col("swapped_in_series").cast(pl.Int64))
    )


def certainly_swapped(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the `swapped_pairs` that no oddity of the images or of a single point explains.

    By position, these are pairs well apart; by pixels, pairs in a series with most of its pairs
    unswapped, since otherwise the series may be stored mirrored.
    """
    apart = pl.col("right_x_mm") - pl.col("left_x_mm") > PAIR_APART_MM
    alone = 2 * pl.col("swapped_in_series") < pl.col("pairs_in_series")
    by_position = pl.col("judged_by") == "position"
    return swapped_pairs(pairs).filter(pl.when(by_position).then(apart).otherwise(alone))


@check("Left and right foramen on one slice", "pairs")
def foraminal_pairs_on_one_slice(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return foraminal pairs on one slice, though foramina lie on either side of the canal."""
    return pairs.filter(
        pl.col("kind") == "foraminal",
        pl.col("left_series_id") == pl.col("right_series_id"),
        pl.col("left_instance") == pl.col("right_instance"),
    )


def t1_orders(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the left-right order of T1 slices by instance number, from the annotated sides.

    Returns:
        study_id, series_id, order ("left to right", "right to left", or "mixed" if levels disagree
        or some have both points on one slice), and the number of levels in each order. Series with
        all pairs on one slice have no row.
    """
    step = pl.col("right_instance") - pl.col("left_instance")
    return (
        pairs.filter(
            pl.col("kind") == "foraminal", pl.col("left_series_id") == pl.col("right_series_id")
        )
        .group_by("study_id", pl.col("left_series_id").alias("series_id"), maintain_order=True)
        .agg(
            left_to_right=(step > 0).sum().cast(pl.Int64),
            right_to_left=(step < 0).sum().cast(pl.Int64),
            on_one_slice=(step == 0).sum().cast(pl.Int64),
        )
        .filter((pl.col("left_to_right") > 0) | (pl.col("right_to_left") > 0))
        .with_columns(
            order=pl.when((pl.col("right_to_left") == 0) & (pl.col("on_one_slice") == 0))
            .then(pl.lit("left to right"))
            .when((pl.col("left_to_right") == 0) & (pl.col("on_one_slice") == 0))
            .then(pl.lit("right to left"))
            .otherwise(pl.lit("mixed"))
        )
    )


@check("T1 series without one left-right order", "series", Severity.NOTE)
def t1_series_without_one_order(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the `t1_orders` of series whose levels disagree."""
    return t1_orders(pairs).filter(order="mixed")


@check("T1 series with sides one level apart", "series")
def foramina_a_level_apart(annotations: pl.DataFrame) -> pl.DataFrame:
    """Return T1 series with the left foramina of all levels above or below the right ones.

    Measured by y_px on one series, in steps between levels: one side is a level off, but only
    the study's other series can show which.

    Returns:
        study_id, series_id, steps_down: the median of left below right, in steps.
    """
    series = ["study_id", "series_id"]
    foraminal = (
        annotations.filter(KIND == "foraminal")
        .unique([*series, "condition", "level"], keep="first", maintain_order=True)
        .with_columns(rank=LEVEL_NUMBER)
    )
    left, right = (
        foraminal.filter(side == SIDE).select(*series, "rank", pl.col("y_px").alias(side))
        for side in (Side.LEFT, Side.RIGHT)
    )
    span = pl.col("rank").max() - pl.col("rank").min()
    rise = pl.col("left", "right").sort_by("rank")
    return (
        left.join(right, on=[*series, "rank"], how="inner", maintain_order="left")
        .group_by(series, maintain_order=True)
        .agg(
            levels=pl.len(),
            down=(pl.col("left") - pl.col("right")).median(),
            step=pl.mean_horizontal(rise.last() - rise.first()) / span,
        )
        .filter(pl.col("levels") >= 3, pl.col("down").abs() > APART_STEPS * pl.col("step"))
        .select(*series, steps_down=pl.col("down") / pl.col("step"))
    )


def _axial(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.filter(kind="subarticular")


def _axial_in_one_series(pairs: pl.DataFrame) -> pl.DataFrame:
    return _axial(pairs).filter(left_series_id=pl.col("right_series_id"))


@check("Axial pairs on two slices", "pairs", Severity.NOTE, of=_axial_in_one_series)
def axial_pairs_on_two_slices(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return axial pairs of one series whose points lie on different slices."""
    differ = pl.col("left_instance") != pl.col("right_instance")
    return _axial_in_one_series(pairs).filter(differ)


@check("Axial pairs on two series", "pairs", Severity.NOTE, of=_axial)
def axial_pairs_in_two_series(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return axial pairs whose points lie on different series."""
    return _axial(pairs).filter(pl.col("left_series_id") != pl.col("right_series_id"))


@check("Points on the wrong side of the canal", "points")
def points_on_the_other_side(
    annotations: pl.DataFrame, train_instances: pl.DataFrame
) -> pl.DataFrame:
    """Return sided points more than 3 mm beyond their level's canal point, on the other side.

    Args:
        annotations: the table as `competition.tables` reads it.
        train_instances: the train_instances of the same split.

    Returns:
        ids, condition, level, offset_mm: from the canal point, positive towards the patient's left.
    """
    towards_the_other = pl.when(SIDE == Side.LEFT).then(-pl.col("left_mm"))
    return (
        beside_canal(annotations, train_instances)
        .filter(
            SIDE.is_not_null(),
            towards_the_other.otherwise(pl.col("left_mm")) > CANAL_OFF_MIDDLE_MM,
        )
        .select(*_POINT, offset_mm="left_mm")
    )
