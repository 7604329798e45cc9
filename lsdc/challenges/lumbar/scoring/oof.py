"""Out-of-fold predictions of all folds in one table, and their scores next to the weighted prior.

Holdout studies, which are in no fold, are scored separately, by the mean of the folds' models.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.metric import PARTS, score
from lsdc.challenges.lumbar.scoring.prior import (
    out_of_fold_prior,
    predict_prior,
    prior_table,
    weighted_prior,
)
from lsdc.challenges.lumbar.vocabulary import GRADES
from lsdc.errors import StageError
from lsdc.messages import counted, first_few
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_text
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table

log = logging.getLogger(__name__)


def _probability() -> dy.Float64:
    about = "Predicted probabilities of the three grades; their sum is 1."
    return dy.Float64(min=0, max=1.001, description=about)  # means of models are rounded


class OutOfFold(Table):
    """One row per study, condition and level, of the studies in trained folds."""

    row_id = dy.String(
        primary_key=True, description="Row id as in a submission: STUDY_CONDITION_LEVEL."
    )
    study_id = columns.study()
    condition = columns.condition()
    level = columns.level()
    fold = dy.Int32(min=0, description="Number of the fold that holds the study out, from 0.")
    label = dy.Int8(
        nullable=True,
        min=0,
        max=len(GRADES) - 1,
        description="Grade: 0 is normal or mild, 1 moderate, 2 severe; null if there is none.",
    )
    normal_mild = _probability()
    moderate = _probability()
    severe = _probability()


class HeldOut(Table):
    """One row per study, condition and level, of the studies that are held out of all folds."""

    row_id = OutOfFold.row_id
    study_id = OutOfFold.study_id
    condition = OutOfFold.condition
    level = OutOfFold.level
    label = OutOfFold.label
    normal_mild = OutOfFold.normal_mild
    moderate = OutOfFold.moderate
    severe = OutOfFold.severe


def assemble_oof(
    fold_tables: Sequence[pl.DataFrame], labels: pl.DataFrame, folds: pl.DataFrame
) -> pl.DataFrame:
    """Join the folds' predictions; every labelled row of their studies occurs exactly once.

    Args:
        fold_tables: for each trained fold, row_id, fold and the three probabilities of its studies;
            further columns are allowed. Folds may be missing.
        labels: study_id, condition, level, grade.
        folds: study_id, fold: the split that the folds were trained with.

    Returns:
        `OutOfFold`, in the labels' order.

    Raises:
        StageError: there are no folds, a row is predicted by a fold that its study is not in, or a
            labelled row of the folds' studies is missing.
        DataError: a row occurs twice or has invalid probabilities.
    """
    if not fold_tables:
        raise StageError("oof: no fold has been trained, expected one or more; train a fold first")
    given = pl.concat(
        [table.select("row_id", "fold", *PROBABILITIES) for table in fold_tables],
        how="vertical_relaxed",
    )
    predicted = check_predictions(given, "oof").with_columns(by=given["fold"].cast(pl.Int32))
    dealt = folds.select("study_id", pl.col("fold").cast(pl.Int32))
    expected = labels.join(
        dealt.filter(pl.col("fold").is_in(predicted["by"].unique().to_list())),
        on="study_id",
        maintain_order="left",
    ).with_columns(row_id())
    _check_fold_membership(predicted, expected)
    rows = expected.join(predicted, on="row_id", how="left", maintain_order="left")
    missing = rows.filter(pl.col("grade").is_not_null() & pl.col("by").is_null())["row_id"]
    if len(missing):
        raise StageError(
            f"oof: {first_few(missing)} missing, expected every labelled row of the folds' studies "
            "once; train the fold again, or leave studies without images out of the folds"
        )
    return (
        rows.filter(pl.col("by").is_not_null())
        .rename({"grade": "label"})
        .select(OutOfFold.column_names())
    )


def scores_table(
    oof: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame, *, selected: bool
) -> dict[str, Any]:
    """Return the content of `scores.json`.

    Args:
        oof: the table that `assemble_oof` returns.
        labels: study_id, condition, level, grade.
        folds: study_id, fold: all folds of the split.
        selected: whether a checkpoint was selected on the fold that is scored here.

    Returns:
        The score and its four parts; `weighted_prior`, the same for the in-sample prior of the
        scored rows; `folds`, both for each fold by its number, with the prior of that fold's own
        rows; `partial`, whether folds are missing; `selected`. A part without labelled rows is
        None, and the score is the mean of the others.
    """
    by_fold = {
        str(fold): _scores(oof.filter(fold=fold), labels) for fold in oof["fold"].unique().sort()
    }
    return {
        **_scores(oof, labels),
        "folds": by_fold,
        "partial": set(oof["fold"]) != set(folds["fold"]),
        "selected": selected,
    }


def assemble_holdout(
    fold_tables: Sequence[pl.DataFrame], held_out: pl.DataFrame, labels: pl.DataFrame
) -> pl.DataFrame:
    """Return the mean over the folds' models for every row of the holdout studies.

    A level without crops gets the smoothed prior of the folds' labels.

    Args:
        fold_tables: for each trained fold, row_id and the three probabilities of these studies.
        held_out: study_id, condition, level, grade of the holdout studies.
        labels: the same columns for the folds' studies.

    Returns:
        `HeldOut`, in the order of `held_out`.

    Raises:
        StageError: a holdout study is among the folds' labels, or not all folds predicted a row.
    """
    leaked = sorted(set(held_out["study_id"]) & set(labels["study_id"]))
    if leaked:
        raise StageError(
            f"holdout: {counted(len(leaked), 'held-out study')} also in folds (the first: "
            f"{leaked[0]}), expected none; assign the folds again"
        )
    names = ["row_id", *PROBABILITIES]
    given = pl.concat([table.select(names) for table in fold_tables])
    means = given.group_by("row_id", maintain_order=True).agg(
        pl.col(PROBABILITIES).mean(), pl.len()
    )
    torn = means.filter(pl.col("len") != len(fold_tables))["row_id"]
    if len(torn):
        raise StageError(
            f"holdout: {first_few(torn)} not predicted by all of "
            f"{counted(len(fold_tables), 'fold')}; "
            "train the folds again"
        )
    unseen = predict_prior(held_out, prior_table(labels, smoothing=0.5)).join(
        means, on="row_id", how="anti", maintain_order="left"
    )
    _warn_of_prior("holdout", unseen, held_out)
    predicted = pl.concat([means.select(names), unseen], how="vertical_relaxed")
    return (
        held_out.with_columns(row_id())
        .join(predicted, on="row_id", how="left", maintain_order="left")
        .rename({"grade": "label"})
        .select(HeldOut.column_names())
    )


def holdout_scores(
    predicted: pl.DataFrame, held_out: pl.DataFrame, *, models: int
) -> dict[str, Any] | None:
    """Return the holdout entry of `scores.json`, in the form of a fold's; None without studies.

    Args:
        predicted: the table that `assemble_holdout` returns.
        held_out: study_id, condition, level, grade of the holdout studies.
        models: number of folds' models that the predictions are the mean of.
    """
    if predicted.is_empty():
        return None
    studies = predicted["study_id"].n_unique()
    return {**_scores(predicted, held_out), "studies": studies, "models": models}


def _check_fold_membership(predicted: pl.DataFrame, expected: pl.DataFrame) -> None:
    dealt = expected.select("row_id", "fold")
    beside = predicted.join(dealt, on="row_id", how="left", maintain_order="left")
    strangers = beside.filter(pl.col("by").ne_missing(pl.col("fold")))
    if strangers.height:
        row = strangers.row(0, named=True)
        member = "in none of the given folds" if row["fold"] is None else f"in fold {row['fold']}"
        raise StageError(
            f"oof: {first_few(strangers['row_id'])} predicted by a fold that does not hold the "
            f"study out (the first by fold {row['by']}, the study is {member}); train these folds "
            "again with the current split"
        )


def _warn_of_prior(stage: str, predicted: pl.DataFrame, labels: pl.DataFrame) -> None:
    rows = labels.with_columns(row_id()).join(predicted, on="row_id", how="semi")
    for (study,), own in rows.group_by("study_id", maintain_order=True):
        levels = ", ".join(own["level"].unique(maintain_order=True))
        log.warning(
            "%s: study %s has no crops of %s; the prior of the other folds is used instead",
            stage,
            study,
            levels,
        )


def _scores(oof: pl.DataFrame, labels: pl.DataFrame) -> dict[str, Any]:
    scored = labels.join(oof, on=["study_id", "condition", "level"], how="semi")
    if not scored["grade"].count():
        nothing: dict[str, Any] = dict.fromkeys(("score", *PARTS))
        return {**nothing, "weighted_prior": dict(nothing)}
    return {
        **score(scored, oof, "oof").as_dict(),
        "weighted_prior": score(scored, weighted_prior(scored), "weighted prior").as_dict(),
    }


def write_oof(
    trained: Sequence[Path],
    labels: pl.DataFrame,
    folds: pl.DataFrame,
    held_out: pl.DataFrame,
    out: Path,
) -> int:
    """Assemble `oof.parquet`, `holdout.parquet` and `scores.json` from trained folds' folders.

    A level without crops (for example, of a study without sagittal images) has no model
    prediction: its rows get the smoothed prior of the other folds' labels, and a warning is logged.

    Args:
        trained: the folds' folders.
        labels: study_id, condition, level, grade of the folds' studies.
        folds: study_id, fold.
        held_out: the same columns as `labels` for the holdout studies; may be empty.
        out: an existing folder.

    Returns:
        Number of rows of `oof.parquet`.

    Raises:
        StageError: a fold's table has a column that the joined table lacks, or see `assemble_oof`
            and `assemble_holdout`.
    """
    tables = [_read_predictions(folder / "oof.parquet", OutOfFold) for folder in trained]
    facts = [json.loads((folder / "fit.json").read_text(encoding="utf-8")) for folder in trained]
    names = ["row_id", "fold", *PROBABILITIES]
    given = pl.concat([table.select(names) for table in tables])
    unseen = (
        out_of_fold_prior(labels, folds)
        .join(labels.select("study_id", row_id()), on="row_id", maintain_order="left")
        .join(folds, on="study_id", maintain_order="left")
        .filter(pl.col("fold").is_in(given["fold"].unique().implode()))
        .join(given, on="row_id", how="anti", maintain_order="left")
    )
    _warn_of_prior("oof", unseen, labels)
    oof = assemble_oof([*tables, unseen.select(names)], labels, folds)
    scores = scores_table(oof, labels, folds, selected=any(fact["selected"] for fact in facts))
    unseen_by_all = assemble_holdout(
        [_read_predictions(folder / "holdout.parquet", HeldOut) for folder in trained],
        held_out,
        labels,
    )
    scores["holdout"] = holdout_scores(unseen_by_all, held_out, models=len(trained))
    write_table(OutOfFold, oof, out / "oof.parquet")
    write_table(HeldOut, unseen_by_all, out / "holdout.parquet")
    write_text(out / "scores.json", json.dumps(scores, indent=2) + "\n")
    return len(oof)


def _read_predictions(path: Path, joined: type[Table]) -> pl.DataFrame:
    """Read a fold's predictions; refuse columns that would be lost when the folds are joined."""
    table = read_parquet(path)
    lost = [name for name in table.columns if name not in joined.column_names()]
    if lost:
        raise StageError(
            f"{path}: found column {', '.join(lost)}, expected only those of the table "
            f"{joined.__name__}, {', '.join(joined.column_names())}; declare it there, or do not "
            "write it"
        )
    return table
