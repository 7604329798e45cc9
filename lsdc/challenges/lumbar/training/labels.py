"""Which labels an experiment asks for, and what it learns where one has no grade."""

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.loss import LabelsConfig

_KEY = ("study_id", "condition", "level")


def asked(rows: pl.DataFrame, config: LabelsConfig) -> pl.DataFrame:
    """The rows of conditions and levels that the experiment grades at all.

    Args:
        rows: labels or predictions with condition and level; or samples, with level alone.
        config: which.
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
    """The labels that a fold is trained on; never those that it is scored by.

    Args:
        labels: study_id, condition, level, grade (null where none was given).
        config: what is asked for, and what becomes of a label without a grade.
        predicted: the same key and three probabilities, by a model that was trained without the
            fold that is held out; they fill labels without a grade first.
        soft: whether they stay probabilities, or become the likeliest grade.

    Returns:
        study_id, condition, level, grade and the three probabilities, which are null but where a
        label is predicted and `soft`. A level that is dropped has no row.
    """
    rows = asked(labels, config).select(*_KEY, "grade")
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
    """Probabilities taken for the grade that has most of them."""
    likeliest = pl.concat_list(PROBABILITIES).list.arg_max()
    there = pl.col(PROBABILITIES[0]).is_not_null()
    return rows.with_columns(
        pl.when(there).then(likeliest).otherwise("grade").alias("grade"),
        *(pl.lit(None, pl.Float64).alias(name) for name in PROBABILITIES),
    )
