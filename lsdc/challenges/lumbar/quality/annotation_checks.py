"""Check labels and annotated points against one another and the series table, without images.

Labels, annotations and series come from `competition.tables`.
"""

import polars as pl

from lsdc.challenges.lumbar.columns import SHOWN_ON
from lsdc.challenges.lumbar.quality.checks import check
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition, SeriesDescription
from lsdc.tables.findings import Severity

_CELL = ["study_id", "condition", "level"]
_SERIES = ["study_id", "series_id"]
_POINT = [*_SERIES, "instance_number", "condition", "level"]


@check("Label cells without a grade", "cells")
def empty_labels(labels: pl.DataFrame) -> pl.DataFrame:
    """Return the label cells without a grade: study_id, condition, level."""
    return labels.filter(pl.col("grade").is_null()).select(_CELL)


@check("Grades without a point", "cells", Severity.NOTE)
def labels_without_a_point(labels: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Return the graded cells without an annotated point: study_id, condition, level."""
    graded = labels.filter(pl.col("grade").is_not_null())
    return graded.join(annotations, on=_CELL, how="anti", maintain_order="left").select(_CELL)


@check("Points without a grade", "points", Severity.NOTE)
def points_without_a_label(labels: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Return points whose cell is empty or whose study has no labels: ids, condition, level."""
    graded = labels.filter(pl.col("grade").is_not_null())
    return annotations.join(graded, on=_CELL, how="anti", maintain_order="left").select(_POINT)


@check("Several points for one cell", "points")
def repeated_points(annotations: pl.DataFrame) -> pl.DataFrame:
    """Return all points of cells (study, condition, level) with several: ids, condition, level."""
    return annotations.filter(annotations.select(_CELL).is_duplicated()).select(_POINT)


@check("Points on unlisted series", "points")
def points_on_unlisted_series(annotations: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Return points on a series missing from the series table: ids, condition, level."""
    return annotations.join(listed, on=_SERIES, how="anti", maintain_order="left").select(_POINT)


@check("Points on the wrong kind of series", "points")
def points_on_the_wrong_kind_of_series(
    annotations: pl.DataFrame, listed: pl.DataFrame
) -> pl.DataFrame:
    """Return points on a series of a kind that does not show their condition.

    Returns:
        ids, condition, level, series_description, expected (a series_description).
    """
    return (
        annotations.join(listed, on=_SERIES, how="inner", maintain_order="left")
        .with_columns(expected=SHOWN_ON)
        .filter(pl.col("series_description") != pl.col("expected"))
        .select(*_POINT, "series_description", "expected")
    )


@check("T2 series with fewer than 5 canal points", "series", Severity.NOTE)
def t2_series_with_few_canal_points(
    annotations: pl.DataFrame, listed: pl.DataFrame
) -> pl.DataFrame:
    """Return listed T2 series on which fewer than five levels have a canal point, or none does.

    Returns:
        study_id, series_id, points, missing_levels (comma-separated).
    """
    canal = annotations.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    marked = canal.group_by(_SERIES).agg(pl.col("level").unique())
    missing = (
        pl.when(~pl.col("level").list.contains(str(level))).then(pl.lit(str(level)))
        for level in LEVELS
    )
    return (
        listed.filter(series_description=str(SeriesDescription.SAGITTAL_T2))
        .join(marked, on=_SERIES, how="left", maintain_order="left")
        .with_columns(pl.col("level").fill_null([]))
        .filter(pl.col("level").list.len() < len(LEVELS))
        .select(
            *_SERIES,
            points=pl.col("level").list.len().cast(pl.Int64),
            missing_levels=pl.concat_str(missing, separator=", ", ignore_nulls=True),
        )
    )
