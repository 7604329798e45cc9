"""Left against right: annotated points that contradict the side they name.

In DICOM's patient space (LPS) +x points to the patient's left; where a point's image is indexed,
its position in mm decides. Without images, an axial pair is judged by its pixels, as nearly all
axial images are stored with the patient's left at the greater x_px: in the competition's tables
8,769 of 8,770 pairs are. Sagittal pixels say nothing about the side.
"""

import polars as pl

from lsdc.lumbar.findings import Finding, Severity
from lsdc.lumbar.places import place_annotations
from lsdc.lumbar.vocabulary import Condition, Side

# A canal point lies on a sagittal slice, so up to half a slice's distance beside the middle.
CANAL_OFF_MIDDLE_MM = 3.0

_POINT = ["study_id", "series_id", "instance_number", "condition", "level"]
_SIDES = {str(condition): condition.side for condition in Condition if condition.side}
_KINDS = {str(condition): condition.pooled for condition in Condition}


def check_sides(annotations: pl.DataFrame, instances: pl.DataFrame | None) -> list[Finding]:
    """Every rule of this module; `instances` are those of the training split, if any."""
    pairs = side_pairs(annotations, instances)
    axial = pairs.filter(kind="subarticular")
    in_one_series = axial.filter(left_series_id=pl.col("right_series_id"))
    found = [
        Finding("swapped_pairs", "Left and right points swapped", "pairs", swapped_pairs(pairs)),
        Finding(
            "foraminal_pairs_on_one_slice",
            "Left and right foramen on one slice",
            "pairs",
            foraminal_pairs_on_one_slice(pairs),
        ),
        Finding(
            "t1_series_without_one_order",
            "T1 series whose sides run both ways",
            "series",
            t1_orders(pairs).filter(order="mixed"),
            Severity.NOTE,
        ),
        Finding(
            "axial_pairs_on_two_slices",
            "Axial pairs on two slices",
            "pairs",
            in_one_series.filter(pl.col("left_instance") != pl.col("right_instance")),
            Severity.NOTE,
            of=in_one_series.height,
        ),
        Finding(
            "axial_pairs_in_two_series",
            "Axial pairs on two series",
            "pairs",
            axial.filter(pl.col("left_series_id") != pl.col("right_series_id")),
            Severity.NOTE,
            of=axial.height,
        ),
    ]
    if instances is not None:
        found.append(
            Finding(
                "points_on_the_other_side",
                "Points across the canal from their side",
                "points",
                points_on_the_other_side(annotations, instances),
            )
        )
    return found


def side_pairs(annotations: pl.DataFrame, instances: pl.DataFrame | None) -> pl.DataFrame:
    """Left and right points of a study, kind and level, beside one another: a row a pair.

    Args:
        annotations: as `lsdc.lumbar.tables` reads them; of repeated points the first counts.
        instances: of the same split; None where there are no images.

    Returns:
        study_id, kind ("foraminal" or "subarticular"), level, then for left_ and right_ each:
        series_id, instance, x_px and x_mm (null where the image is not indexed).
    """
    cell = ["study_id", "kind", "level"]
    points = (
        with_position(annotations, instances)
        .filter(pl.col("condition").is_in(list(_SIDES)))
        .unique(["study_id", "condition", "level"], keep="first", maintain_order=True)
        .with_columns(
            kind=pl.col("condition").replace_strict(_KINDS, return_dtype=pl.String),
            side=pl.col("condition").replace_strict(_SIDES, default=None, return_dtype=pl.String),
        )
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


def swapped_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs whose left point lies to the right of their right point.

    By position in mm where both are indexed, else, for axial pairs in one series, by pixels.

    Returns:
        The columns of `side_pairs`, `judged_by` ("position" or "pixels"), and how many of
        `pairs_in_series` (those with the left point in that series) are `swapped_in_series`:
        where all are, the series is as likely stored mirrored as mislabelled.
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


def foraminal_pairs_on_one_slice(pairs: pl.DataFrame) -> pl.DataFrame:
    """Foraminal pairs on a single slice: the foramina lie on either side of the canal."""
    return pairs.filter(
        pl.col("kind") == "foraminal",
        pl.col("left_series_id") == pl.col("right_series_id"),
        pl.col("left_instance") == pl.col("right_instance"),
    )


def t1_orders(pairs: pl.DataFrame) -> pl.DataFrame:
    """Which way the slices of T1 series run by the annotated sides, as instance numbers grow.

    Returns:
        study_id, series_id, order ("left to right", "right to left", or "mixed" where levels do
        not agree, or some have both points on one slice), and how many levels run each way.
        Series with all pairs on one slice show no order and have no row.
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


def points_on_the_other_side(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Sided points more than 3 mm beyond their level's canal point, towards the other side.

    Args:
        annotations: as `lsdc.lumbar.tables` reads them.
        instances: of the same split.

    Returns:
        ids, condition, level, offset_mm: from the canal point, positive towards the patient's left.
    """
    placed = place_annotations(instances, annotations)
    canal = placed.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS)).unique(
        ["study_id", "level"], keep="first", maintain_order=True
    )
    beyond = pl.when(pl.col("side") == str(Side.LEFT)).then(-pl.col("offset_mm"))
    return (
        placed.filter(pl.col("condition").is_in(list(_SIDES)))
        .join(
            canal.select("study_id", "level", canal_x_mm="x_mm"),
            on=["study_id", "level"],
            how="inner",
            maintain_order="left",
        )
        .with_columns(
            side=pl.col("condition").replace_strict(_SIDES, return_dtype=pl.String),
            offset_mm=pl.col("x_mm") - pl.col("canal_x_mm"),
        )
        .filter(beyond.otherwise(pl.col("offset_mm")) > CANAL_OFF_MIDDLE_MM)
        .select(*_POINT, "offset_mm")
    )


def with_position(annotations: pl.DataFrame, instances: pl.DataFrame | None) -> pl.DataFrame:
    """The annotations with x_mm, y_mm, z_mm, null where their image is not indexed."""
    axes = ["x_mm", "y_mm", "z_mm"]
    if instances is None:
        return annotations.with_columns(pl.lit(None, dtype=pl.Float64).alias(axis) for axis in axes)
    placed = place_annotations(instances, annotations).unique(_POINT, keep="first")
    return annotations.join(
        placed.select(*_POINT, *axes), on=_POINT, how="left", maintain_order="left"
    )
