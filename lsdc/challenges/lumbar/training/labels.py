"""Selection of an experiment's labels, and the handling of missing grades."""

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.loss import LabelsConfig

_KEY = ("study_id", "condition", "level")


def keep_graded(rows: pl.DataFrame, config: LabelsConfig) -> pl.DataFrame:
    """Return the rows of the conditions and levels that the experiment grades.

    Args:
        rows: labels or predictions with condition and level; or samples, with level alone.
        config: the experiment's conditions and levels.
    """
    levels = pl.col("level").is_in(config.levels)
    if "condition" not in rows.columns:
        return rows.filter(levels)
    return rows.filter(levels, pl.col("condition").is_in(config.conditions))


def labels_to_learn(
    labels: pl.DataFrame,
    config: LabelsConfig,
    predicted: pl.DataFrame | None = None,
    *,
    soft: bool = False,
) -> pl.DataFrame:
    """Return the labels for training, with missing grades handled; scoring does not use them.

    Args:
        labels: study_id, condition, level, grade (null where none was given).
        config: the conditions and levels, and the handling of missing grades.
        predicted: the same key and three probabilities, by a model trained without the held-out
            fold; they fill missing grades first.
        soft: whether these stay probabilities instead of becoming the most likely grade.

    Returns:
        study_id, condition, level, grade and the three probabilities, which are null unless the
        label is predicted and `soft`. A dropped level has no row.
    """
    rows = keep_graded(labels, config).select(*_KEY, "grade")
    if predicted is None:
        rows = rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in PROBABILITIES)
    else:
        beside = predicted.select(*_KEY, *PROBABILITIES)
        rows = rows.join(beside, on=_KEY, how="left", maintain_order="left").with_columns(
            pl.when(pl.col("grade").is_null()).then(pl.col(name)).alias(name)
            for name in PROBABILITIES
        )
        if not soft:
            rows = _likeliest(rows)
    empty = pl.col("grade").is_null() & pl.col(PROBABILITIES[0]).is_null()
    if config.empty == "normal_mild":
        rows = rows.with_columns(grade=pl.when(empty).then(0).otherwise("grade"))
    elif config.empty == "drop":
        rows = rows.filter(~empty.any().over("study_id", "level"))
    return rows.cast({"grade": labels.schema["grade"]})


def _likeliest(rows: pl.DataFrame) -> pl.DataFrame:
    """Replace probabilities by the most likely grade."""
    likeliest = pl.concat_list(PROBABILITIES).list.arg_max()
    there = pl.col(PROBABILITIES[0]).is_not_null()
    return rows.with_columns(
        pl.when(there).then(likeliest).otherwise("grade").alias("grade"),
        *(pl.lit(None, pl.Float64).alias(name) for name in PROBABILITIES),
    )
