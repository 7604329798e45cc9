"""Out-of-fold predictions of all folds in one table, and their scores next to the prior's.

Held-out patients, who are in no fold, are scored separately, by the mean of the folds' models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.hemorrhage import columns
from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.hemorrhage.folds import are_leaky
from lsdc.challenges.hemorrhage.scoring.complete import Filled, complete, warn_of_filled
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, score_arrays
from lsdc.challenges.hemorrhage.scoring.prior import SMOOTHING, label_shares, predict_prior
from lsdc.challenges.hemorrhage.vocabulary import Label
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

FILLED = "filled.parquet"
LABEL_COLUMNS = tuple(f"label_{part}" for part in PARTS)
_AS_LABELS = dict(zip(PARTS, LABEL_COLUMNS, strict=True))
_GIVEN = ["image_id", "fold", *PROBABILITIES]


class OutOfFold(Table):
    """One row per labelled image of the trained folds."""

    image_id = columns.image(primary_key=True)
    study_id = columns.study()
    patient = columns.patient()
    fold = columns.fold()
    label_epidural = columns.label(Label.EPIDURAL)
    label_intraparenchymal = columns.label(Label.INTRAPARENCHYMAL)
    label_intraventricular = columns.label(Label.INTRAVENTRICULAR)
    label_subarachnoid = columns.label(Label.SUBARACHNOID)
    label_subdural = columns.label(Label.SUBDURAL)
    label_any = columns.label(Label.ANY)
    epidural = columns.probability(Label.EPIDURAL)
    intraparenchymal = columns.probability(Label.INTRAPARENCHYMAL)
    intraventricular = columns.probability(Label.INTRAVENTRICULAR)
    subarachnoid = columns.probability(Label.SUBARACHNOID)
    subdural = columns.probability(Label.SUBDURAL)
    any = columns.probability(Label.ANY)


class HeldOut(Table):
    """One row per labelled image of the patients that are held out of all folds."""

    image_id = OutOfFold.image_id
    study_id = OutOfFold.study_id
    patient = OutOfFold.patient
    label_epidural = OutOfFold.label_epidural
    label_intraparenchymal = OutOfFold.label_intraparenchymal
    label_intraventricular = OutOfFold.label_intraventricular
    label_subarachnoid = OutOfFold.label_subarachnoid
    label_subdural = OutOfFold.label_subdural
    label_any = OutOfFold.label_any
    epidural = OutOfFold.epidural
    intraparenchymal = OutOfFold.intraparenchymal
    intraventricular = OutOfFold.intraventricular
    subarachnoid = OutOfFold.subarachnoid
    subdural = OutOfFold.subdural
    any = OutOfFold.any


def assemble_oof(
    fold_tables: Sequence[pl.DataFrame],
    labels: pl.DataFrame,
    folds: pl.DataFrame,
    images: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Join the folds' predictions; every labelled image of the trained folds occurs exactly once.

    An image that its fold's model did not predict is filled (see `complete`), by the prior of the
    other folds' labels where it has no neighbours.

    Args:
        fold_tables: for each trained fold, image_id, fold and the probabilities of its images. Some
            of the folds may be missing.
        labels: `competition.tables.Labels` of the images in folds.
        folds: `folds.Folds`: the split that the folds were trained with.
        images: image_id, study_id, series_id and order of the usable training images.

    Returns:
        `OutOfFold`, in the labels' order; and `Filled`.

    Raises:
        StageError: there are no folds, or an image is predicted by a fold that it is not in.
        DataError: an image occurs twice or has invalid probabilities.
    """
    given = join_folds(fold_tables, _GIVEN)
    predicted = check_predictions(given, "oof").with_columns(by=given["fold"].cast(pl.Int32))
    require_own_fold(predicted, folds, "image_id", of="image", held_out="image")
    trained = sorted({fold for table in fold_tables for fold in table["fold"].unique()})
    dealt = labels.join(folds, on="image_id", maintain_order="left")
    parts = [
        complete(
            dealt.filter(fold=fold)["image_id"],
            predicted.filter(by=fold),
            images,
            label_shares(dealt.filter(pl.col("fold") != fold), SMOOTHING),
        )
        for fold in trained
    ]
    oof = _join_labels(dealt, pl.concat([completed for completed, _ in parts]))
    return oof.select(OutOfFold.column_names()), pl.concat([filled for _, filled in parts])


def scores_table(oof: pl.DataFrame, folds: pl.DataFrame, *, selected: bool) -> dict[str, Any]:
    """Return the content of `scores.json`.

    Args:
        oof: `OutOfFold`.
        folds: `folds.Folds`: all folds of the split.
        selected: whether a checkpoint was selected on the fold that is scored here.

    Returns:
        The score and its six parts; `weighted_prior`, the same for the in-sample prior of the
        scored images; `folds`, both for each fold by its number, with the prior of that fold's own
        images; `partial`, whether folds are missing; `selected`; `leaky`, whether a patient is in
        several folds.
    """
    return scores_of_folds(oof, folds, _scores, selected=selected) | {"leaky": are_leaky(folds)}


def assemble_holdout(
    fold_tables: Sequence[pl.DataFrame],
    held_out: pl.DataFrame,
    labels: pl.DataFrame,
    images: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the mean over the folds' models for every held-out image.

    An image that no model predicted is filled (see `complete`), by the prior of the folds' labels
    where it has no neighbours.

    Args:
        fold_tables: for each trained fold, image_id and the probabilities of these images.
        held_out: `folds.Holdout`.
        labels: `competition.tables.Labels` of the images in folds.
        images: image_id, study_id, series_id and order of the usable training images.

    Returns:
        `HeldOut`, in the order of `held_out`; and `Filled`.

    Raises:
        StageError: a held-out image is in a fold, or not all folds predicted an image.
    """
    require_apart(held_out, labels, "image_id", of="image")
    means = mean_of_models(fold_tables, "image_id", PROBABILITIES, of="image")
    checked = check_predictions(means, "holdout")
    shares = label_shares(labels, SMOOTHING)
    completed, filled = complete(held_out["image_id"], checked, images, shares)
    return _join_labels(held_out, completed).select(HeldOut.column_names()), filled


def holdout_scores(predicted: pl.DataFrame, *, models: int) -> dict[str, Any] | None:
    """Return the holdout entry of `scores.json`, in the form of a fold's; None without images.

    Args:
        predicted: `HeldOut`.
        models: number of folds' models that the predictions are the mean of.
    """
    return scores_of_holdout(predicted, _scores, models=models)


def _join_labels(labelled: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return labelled rows with their predictions, the labels renamed; others are dropped."""
    return labelled.rename(_AS_LABELS).join(predictions, on="image_id", maintain_order="left")


def _scores(rows: pl.DataFrame) -> dict[str, Any]:
    labels = rows.select(LABEL_COLUMNS)
    shares = label_shares(labels.rename({own: part for part, own in _AS_LABELS.items()}))
    prior = predict_prior(rows["image_id"], shares)
    return {
        **score_arrays(labels.to_numpy(), rows.select(PARTS).to_numpy()).as_dict(),
        "weighted_prior": score_arrays(labels.to_numpy(), prior.select(PARTS).to_numpy()).as_dict(),
    }


def write_oof(
    trained: Sequence[Path],
    labels: pl.DataFrame,
    folds: pl.DataFrame,
    held_out: pl.DataFrame,
    images: pl.DataFrame,
    out: Path,
) -> int:
    """Assemble `oof.parquet`, `holdout.parquet` and `scores.json` from trained folds' folders.

    `filled.parquet` lists the images that no model predicted (`Filled`).

    Args:
        trained: the folds' folders: each has `oof.parquet` (image_id, fold, the probabilities),
            `holdout.parquet` (image_id, the probabilities) and `fit.json`.
        labels: `competition.tables.Labels` of the images in folds.
        folds: `folds.Folds`.
        held_out: `folds.Holdout`; may be empty.
        images: split, image_id, study_id, series_id and order of the usable images.
        out: an existing folder.

    Returns:
        Number of rows of `oof.parquet`.

    Raises:
        StageError: a fold's table has a column that the joined table lacks, or see `assemble_oof`
            and `assemble_holdout`.
    """
    training = images.filter(pl.col("split") == "train")
    tables = read_predictions(trained, "oof.parquet", OutOfFold)
    oof, filled = assemble_oof(tables, labels, folds, training)
    scores = scores_table(oof, folds, selected=were_selected(trained))
    beside = read_predictions(trained, "holdout.parquet", HeldOut)
    apart, filled_apart = assemble_holdout(beside, held_out, labels, training)
    scores["holdout"] = holdout_scores(apart, models=len(trained))
    warn_of_filled("oof", filled)
    warn_of_filled("holdout", filled_apart)
    write_table(OutOfFold, oof, out / "oof.parquet")
    write_table(HeldOut, apart, out / "holdout.parquet")
    write_table(Filled, pl.concat([filled, filled_apart]), out / FILLED)
    write_scores(scores, out)
    return len(oof)
