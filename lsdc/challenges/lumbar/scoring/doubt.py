"""Doubt about labels: which ones a model that has not seen them holds for wrong.

A label of fold j may be left out of the training for fold k. Its judge was trained without j, else
it would repeat the label, and without k, else the labels of k would reach the model that predicts
k. So each pair of folds has a judge, which judges the labels of either fold for the other.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.errors import StageError
from lsdc.messages import first_few
from lsdc.store.exact_names import read_parquet

_KEY = ["study_id", "condition", "level"]


def with_doubt(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `doubt`, the probability of all grades but the label; null without a label.

    >>> row = {"label": 1, "normal_mild": 0.7, "moderate": 0.2, "severe": 0.1}
    >>> with_doubt(pl.DataFrame([row]))["doubt"].round(6).item()
    0.8
    """
    given = pl.concat_list(PROBABILITIES).list.get(pl.col("label").cast(pl.UInt32))
    return rows.with_columns(doubt=1 - given)


def list_suspects(rows: pl.DataFrame, doubt: float) -> pl.DataFrame:
    """Return the labels that are doubted at least so much, the most doubtful first.

    Args:
        rows: row_id, study_id, condition, level, grade (0, 1 or 2) and the three probabilities, by
            models that have not seen the labels.
        doubt: the least probability of all other grades together.

    Returns:
        row_id, study_id, condition, level, label and likeliest (names of grades), doubt and the
        three probabilities.
    """
    names = dict(enumerate(PROBABILITIES))
    likeliest = pl.concat_list(PROBABILITIES).list.arg_max()
    return (
        with_doubt(rows.rename({"grade": "label"}))
        .filter(pl.col("doubt") >= doubt)
        .sort("doubt", "row_id", descending=[True, False])
        .select(
            "row_id",
            "study_id",
            "condition",
            "level",
            pl.col("label").replace_strict(names, return_dtype=pl.String),
            likeliest.replace_strict(names, return_dtype=pl.String).alias("likeliest"),
            "doubt",
            *PROBABILITIES,
        )
    )


def doubted_labels(judges: Sequence[Path], *, fold: int, share: float) -> pl.DataFrame:
    """Return the labels to leave out of the training for a fold.

    Args:
        judges: the folders of the judges of this fold and each other one.
        fold: the fold to predict.
        share: probability of all other grades together from which a label is doubted.

    Returns:
        Rows of `scoring.oof.OutOfFold` with `doubt`, as `with_doubt` adds it.

    Raises:
        StageError: a judge has seen the labels of this fold or those that it judges.
    """
    judged = pl.concat(_judged(folder, fold) for folder in judges)
    return with_doubt(judged).filter(pl.col("doubt") >= share)


def _judged(folder: Path, fold: int) -> pl.DataFrame:
    """Return the judge's predictions of the other fold, with their labels."""
    rows = read_parquet(folder / "oof.parquet").filter(pl.col("label").is_not_null())
    others = rows.filter(pl.col("fold") != fold)
    if len(others) == len(rows) or others["fold"].n_unique() != 1:
        found = ", ".join(map(str, rows["fold"].unique().sort()))
        raise StageError(
            f"{folder}: predicts {first_few(rows['row_id'])} of fold {found}, expected fold "
            f"{fold} and one other, which a judge must not have seen; delete this folder, so that "
            "the judge is trained again"
        )
    return others


def without_labels(labels: pl.DataFrame, doubted: pl.DataFrame) -> pl.DataFrame:
    """Return labels to learn, in which the doubted ones are empty.

    Args:
        labels: study_id, condition, level, grade and the three probabilities.
        doubted: study_id, condition, level.
    """
    marked = doubted.select(*_KEY, is_doubted=pl.lit(value=True))
    return (
        labels.join(marked, on=_KEY, how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("is_doubted").is_null()).then(pl.col(name))
            for name in ("grade", *PROBABILITIES)
        )
        .drop("is_doubted")
    )
