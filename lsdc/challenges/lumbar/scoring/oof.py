"""Out-of-fold predictions of all folds in one table, and their scores next to the weighted prior.

Holdout studies, which are in no fold, are scored separately, by the mean of the folds' models.
"""

import logging
from collections.abc import Sequence
from functools import partial
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
from lsdc.messages import first_few
from lsdc.scoring.oof import (
    join_folds,
    mean_of_models,
    read_predictions,
    require_apart,
    require_own_fold,
    scores_of_folds,
    scores_of_holdout,
    were_selected,
    write_scores,
)
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table

log = logging.getLogger(__name__)

_GIVEN = ["row_id", "fold", *PROBABILITIES]


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
    given = join_folds(fold_tables, _GIVEN)
    predicted = check_predictions(given, "oof").with_columns(by=given["fold"].cast(pl.Int32))
    dealt = folds.select("study_id", pl.col("fold").cast(pl.Int32))
    expected = labels.join(
        dealt.filter(pl.col("fold").is_in(predicted["by"].unique().to_list())),
        on="study_id",
        maintain_order="left",
    ).with_columns(row_id())
    require_own_fold(predicted, expected, "row_id", of="row", held_out="study")
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
    return scores_of_folds(oof, folds, partial(_scores, labels), selected=selected)


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
    require_apart(held_out, labels, "study_id", of="study")
    means = mean_of_models(fold_tables, "row_id", PROBABILITIES, of="row")
    unseen = predict_prior(held_out, prior_table(labels, smoothing=0.5)).join(
        means, on="row_id", how="anti", maintain_order="left"
    )
    _warn_of_prior("holdout", unseen, held_out)
    predicted = pl.concat([means, unseen], how="vertical_relaxed")
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
    return scores_of_holdout(predicted, partial(_scores, held_out), models=models)


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


def _scores(labels: pl.DataFrame, oof: pl.DataFrame) -> dict[str, Any]:
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
    tables = read_predictions(trained, "oof.parquet", OutOfFold)
    given = join_folds(tables, _GIVEN)
    unseen = (
        out_of_fold_prior(labels, folds)
        .join(labels.select("study_id", row_id()), on="row_id", maintain_order="left")
        .join(folds, on="study_id", maintain_order="left")
        .filter(pl.col("fold").is_in(given["fold"].unique().implode()))
        .join(given, on="row_id", how="anti", maintain_order="left")
    )
    _warn_of_prior("oof", unseen, labels)
    oof = assemble_oof([*tables, unseen.select(_GIVEN)], labels, folds)
    scores = scores_table(oof, labels, folds, selected=were_selected(trained))
    apart = assemble_holdout(
        read_predictions(trained, "holdout.parquet", HeldOut), held_out, labels
    )
    scores["holdout"] = holdout_scores(apart, held_out, models=len(trained))
    write_table(OutOfFold, oof, out / "oof.parquet")
    write_table(HeldOut, apart, out / "holdout.parquet")
    write_scores(scores, out)
    return len(oof)
