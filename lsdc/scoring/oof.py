"""Out-of-fold predictions: the folds' tables joined, and the form of `scores.json`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.errors import StageError
from lsdc.messages import counted, first_few
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_text
from lsdc.tables.table import Table

Scores = dict[str, Any]
ScoreOf = Callable[[pl.DataFrame], Scores]
"""Returns the score of some rows, its parts, and `weighted_prior`, the same of the prior."""


def read_predictions(trained: Sequence[Path], name: str, joined: type[Table]) -> list[pl.DataFrame]:
    """Read a table of predictions of each trained fold.

    Args:
        trained: the folds' folders.
        name: the name of the file in each.
        joined: the table that the folds' tables are joined to.

    Raises:
        StageError: a fold's table has a column that the joined table lacks, so that it would be
            lost.
    """
    tables = []
    for folder in trained:
        table = read_parquet(folder / name)
        lost = [column for column in table.columns if column not in joined.column_names()]
        if lost:
            raise StageError(
                f"{folder / name}: found column {', '.join(lost)}, expected only those of the "
                f"table {joined.__name__}, {', '.join(joined.column_names())}; declare it there, "
                "or do not write it"
            )
        tables.append(table)
    return tables


def join_folds(tables: Sequence[pl.DataFrame], columns: Sequence[str]) -> pl.DataFrame:
    """Return these columns of the folds' predictions in one table.

    Raises:
        StageError: there are no folds.
    """
    if not tables:
        raise StageError("oof: no fold has been trained, expected one or more; train a fold first")
    return pl.concat([table.select(columns) for table in tables], how="vertical_relaxed")


def require_own_fold(
    predicted: pl.DataFrame, dealt: pl.DataFrame, key: str, *, of: str, held_out: str
) -> None:
    """Refuse a prediction by a fold that does not hold it out.

    Args:
        predicted: the key, and `by`, the fold that predicted it.
        dealt: the key, and `fold`, the fold that holds it out.
        key: the column that names a row.
        of: what a row is, such as "image", for the message.
        held_out: what the folds hold out, such as "study".

    Raises:
        StageError: a row is predicted by another fold, or is in none.
    """
    beside = predicted.select(key, "by").join(
        dealt.select(key, "fold"), on=key, how="left", maintain_order="left"
    )
    strangers = beside.filter(pl.col("by").ne_missing(pl.col("fold")))
    if strangers.height:
        row = strangers.row(0, named=True)
        place = "none of the given folds" if row["fold"] is None else f"fold {row['fold']}"
        raise StageError(
            f"oof: {first_few(strangers[key], of)} predicted by a fold that does not hold the "
            f"{held_out} out (the first by fold {row['by']}, the {held_out} is in {place}); train "
            "these folds again with the current split"
        )


def mean_of_models(
    tables: Sequence[pl.DataFrame], key: str, values: Sequence[str], *, of: str
) -> pl.DataFrame:
    """Return the mean of the folds' predictions of what all of them hold out.

    Args:
        tables: each fold's predictions.
        key: the column that names a row.
        values: the columns with predictions.
        of: what a row is, for the message.

    Returns:
        The key and the means, in the order of the first table that has a row.

    Raises:
        StageError: not all folds predicted a row.
    """
    given = pl.concat([table.select(key, *values) for table in tables], how="vertical_relaxed")
    means = given.group_by(key, maintain_order=True).agg(pl.col(values).mean(), pl.len())
    torn = means.filter(pl.col("len") != len(tables))[key]
    if len(torn):
        raise StageError(
            f"holdout: {first_few(torn, of)} not predicted by all of "
            f"{counted(len(tables), 'fold')}; train the folds again"
        )
    return means.drop("len")


def require_apart(held_out: pl.DataFrame, in_folds: pl.DataFrame, key: str, *, of: str) -> None:
    """Refuse what is held out of all folds, and is in one.

    Args:
        held_out: what is held out.
        in_folds: what is in the folds.
        key: the column that tells it.
        of: what it is, such as "study", for the message.

    Raises:
        StageError: something is in both.
    """
    leaked = held_out.join(in_folds, on=key, how="semi", maintain_order="left")[key]
    if len(leaked):
        raise StageError(
            f"holdout: {first_few(leaked.unique(maintain_order=True), f'held-out {of}')} also in "
            "folds, expected none; assign the folds again"
        )


def scores_of_folds(
    oof: pl.DataFrame, folds: pl.DataFrame, score_of: ScoreOf, *, selected: bool
) -> Scores:
    """Return the content of `scores.json`, but for `holdout`.

    Args:
        oof: what is scored, with its `fold`.
        folds: the `fold` of everything in the split, trained or not.
        score_of: scores some rows of `oof`.
        selected: whether a checkpoint was selected on the fold that is scored here.

    Returns:
        What `score_of` returns for all rows; `folds`, the same for each fold by its number;
        `partial`, whether folds are missing; `selected`.
    """
    trained = oof["fold"].unique().sort().to_list()
    return {
        **score_of(oof),
        "folds": {str(fold): score_of(oof.filter(fold=fold)) for fold in trained},
        "partial": {*trained} != {*folds["fold"]},
        "selected": selected,
    }


def scores_of_holdout(predicted: pl.DataFrame, score_of: ScoreOf, *, models: int) -> Scores | None:
    """Return the holdout entry of `scores.json`, in the form of a fold's; None without studies.

    Args:
        predicted: what is held out of all folds, with its `study_id`.
        score_of: scores rows of it.
        models: number of folds' models that the predictions are the mean of.
    """
    if predicted.is_empty():
        return None
    studies = predicted["study_id"].n_unique()
    return {**score_of(predicted), "studies": studies, "models": models}


def were_selected(trained: Sequence[Path]) -> bool:
    """Return whether a checkpoint of any trained fold was selected on the fold that it predicts."""
    # Without `lsdc.training`, on whose code scores would depend otherwise.
    facts = (json.loads((folder / "fit.json").read_text(encoding="utf-8")) for folder in trained)
    return any(each["selected"] for each in facts)


def write_scores(scores: Scores, out: Path) -> None:
    """Write `scores.json` into a run's folder."""
    write_text(out / "scores.json", json.dumps(scores, indent=2) + "\n")
