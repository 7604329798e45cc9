"""Assign images to folds by patient, with rare labels spread evenly; hold some out, if asked.

Slices of one patient look alike and share labels, so a fold has to hold out whole patients.
"""

import logging
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage import columns
from lsdc.challenges.hemorrhage.competition.tables import Labels
from lsdc.challenges.hemorrhage.config.split import By
from lsdc.challenges.hemorrhage.vocabulary import LABELS, Label
from lsdc.errors import DataError, SettingsError
from lsdc.messages import counted, few
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table

log = logging.getLogger(__name__)

_NAMES = tuple(map(str, LABELS))
_MOST_PARTS = 100  # the held-out fraction is rounded to a hundredth


class Folds(Table):
    """One row per image that is in a fold."""

    image_id = columns.image(primary_key=True)
    study_id = columns.study()
    patient = columns.patient()
    fold = columns.fold()


class Holdout(Table):
    """One row per labelled image of the patients that are held out of all folds."""

    image_id = columns.image(primary_key=True)
    study_id = columns.study()
    patient = columns.patient()
    epidural = columns.label(Label.EPIDURAL)
    intraparenchymal = columns.label(Label.INTRAPARENCHYMAL)
    intraventricular = columns.label(Label.INTRAVENTRICULAR)
    subarachnoid = columns.label(Label.SUBARACHNOID)
    subdural = columns.label(Label.SUBDURAL)
    any = columns.label(Label.ANY)


def assign_folds(
    images: pl.DataFrame, labels: pl.DataFrame, folds: int, seed: int, by: By = "patient"
) -> pl.DataFrame:
    """Assign images to folds by scikit-learn's StratifiedGroupKFold, or StratifiedKFold.

    By patient, the stratum of an image is its rarest label, or none: so the images with each label,
    however rare, and those without are spread evenly, and folds are of similar size. By image, it
    is the set of its labels. The order of rows does not matter.

    Args:
        images: image_id, study_id, patient: the images to assign.
        labels: image_id and the labels, 0 or 1.
        folds: the number of folds.
        seed: the seed of the shuffle.
        by: what is kept together: a patient, or no more than an image.

    Returns:
        `Folds`, sorted by image; no fold is empty.

    Raises:
        SettingsError: fewer than two folds, or more folds than patients (or images).
        DataError: an image has no labels.
    """
    if folds < 2:
        raise SettingsError(f"folds: expected 2 or more, got {folds}; use more folds")
    rows = _labelled(images, labels)
    require_units(rows, folds, by)
    dealt = _deal(rows, folds, seed, by)
    return rows.select("image_id", "study_id", "patient", fold=pl.Series(dealt, dtype=pl.Int32))


def require_units(images: pl.DataFrame, folds: int, by: By = "patient") -> None:
    """Refuse more folds than there are patients (or images, where folds hold out images).

    Args:
        images: image_id, study_id, patient.
        folds: the requested number of folds.
        by: what a fold holds out.

    Raises:
        SettingsError: there are fewer.
    """
    units = images["patient"].n_unique() if by == "patient" else images.height
    if folds > units:
        raise SettingsError(
            f"folds: {folds} folds need at least as many {by}s, found {units} with images and "
            f"labels; {'use fewer folds' if units > 1 else f'add {by}s'}"
        )


def hold_out(images: pl.DataFrame, labels: pl.DataFrame, share: float, seed: int) -> list[str]:
    """Return the patients held out of all folds as a test split, stratified as folds are.

    They are the first parts of a split into as many parts as the fraction's denominator, so the
    same patients are held out whatever the number of folds. Patients are held out even where folds
    hold out images, so that the holdout has no leak.

    Args:
        images: image_id, study_id, patient: all images that could be in a fold.
        labels: image_id and the labels, 0 or 1.
        share: the fraction to hold out, from 0 to below 1, rounded to one that the number allows.
        seed: the seed of the shuffle.

    Returns:
        Patients in ascending order; none for a fraction of 0.

    Raises:
        SettingsError: the fraction amounts to no patient, or to all.
        DataError: an image has no labels.
    """
    if not share:
        return []
    rows = _labelled(images, labels)
    patients = rows["patient"].n_unique()
    fraction = Fraction(share).limit_denominator(min(_MOST_PARTS, max(1, patients)))
    if not 0 < fraction < 1:
        raise SettingsError(
            f"holdout: {share:.0%} of {counted(patients, 'patient')} is "
            f"{'none' if not fraction else 'all'}; expected a share that leaves patients in the "
            "holdout and in folds, such as 10%"
        )
    parts = _deal(rows, fraction.denominator, seed, "patient")
    held_out = rows.filter(pl.Series(parts < fraction.numerator))
    return held_out["patient"].unique().sort().to_list()


def are_leaky(folds: pl.DataFrame) -> bool:
    """Return whether a patient is in more than one fold, so that scores are too good.

    Args:
        folds: `Folds`.
    """
    by_patient = folds.group_by("patient").agg(pl.col("fold").n_unique())
    return bool((by_patient["fold"] > 1).any())


def write_folds(
    labels: pl.DataFrame,
    images: pl.DataFrame,
    out: Path,
    *,
    folds: int,
    seed: int,
    strict: bool,
    by: By = "patient",
    holdout: float = 0.0,
    limit: int | None = None,
) -> int:
    """Assign the usable images with labels to folds.

    Writes `folds.parquet` (`Folds`); `labels.parquet`, the labels of these images; and
    `holdout.parquet` (`Holdout`), the images held out of all folds, if any.

    Args:
        labels: `competition.tables.Labels`.
        images: split, image_id, study_id and patient of the usable images.
        out: an existing folder.
        folds: the number of folds.
        seed: the seed of the shuffle.
        strict: whether to refuse to leave an image out.
        by: what a fold holds out.
        holdout: the fraction of patients to hold out of all folds; see `hold_out`.
        limit: the number of labelled studies to use, the first by id; None for all.

    Returns:
        The number of studies in folds.

    Raises:
        SettingsError, DataError: as `assign_folds` and `hold_out`; with `strict`, if an image is
            left out.
    """
    training = images.filter(pl.col("split") == "train")
    _report_left_out(labels["image_id"], training["image_id"], strict=strict)
    usable = training.join(labels.select("image_id"), on="image_id", how="semi")
    if limit is not None:
        first = usable["study_id"].unique().sort().head(limit)
        usable = usable.filter(pl.col("study_id").is_in(first.implode()))
    apart = pl.col("patient").is_in(hold_out(usable, labels, holdout, seed))
    dealt = assign_folds(usable.filter(~apart), labels, folds, seed, by)
    if are_leaky(dealt):
        log.warning(
            "folds: single images are held out, so a model sees other slices of the patients that "
            "it is scored on; expect a better score than on new patients"
        )
    own = labels.join(dealt, on="image_id", how="semi", maintain_order="left")
    held_out = _labelled(usable.filter(apart), labels)
    write_table(Folds, dealt, out / "folds.parquet")
    write_table(Labels, own, out / "labels.parquet")
    write_table(Holdout, held_out, out / "holdout.parquet")
    return dealt["study_id"].n_unique()


def _report_left_out(labelled: pl.Series, usable: pl.Series, *, strict: bool) -> None:
    """Name images that have only labels, or none."""
    left_out = {
        "labels, but no usable file": labelled.filter(~labelled.is_in(usable.implode())),
        "no labels": usable.filter(~usable.is_in(labelled.implode())),
    }
    for what, images in left_out.items():
        if not len(images):
            continue
        message = f"{counted(len(images), 'image')} with {what}: {few(images.head(11).to_list())}"
        if strict:
            raise DataError(f"folds: {message}; complete them, or run without --strict")
        log.warning("folds: %s; they are in no fold and not scored", message)


def _labelled(images: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Return `Holdout`: images with their labels, sorted, so that the given order is no matter."""
    rows = images.select("image_id", "study_id", "patient").sort("image_id")
    found = rows.join(labels, on="image_id", how="left", maintain_order="left")
    without = found.filter(pl.col(Label.ANY).is_null())["image_id"]
    if len(without):
        raise DataError(
            f"folds: {counted(len(without), 'image')} without labels (the first: {without[0]}); "
            "expected six rows of the table of labels for each"
        )
    return found.select(Holdout.column_names())


def _deal(rows: pl.DataFrame, folds: int, seed: int, by: By) -> NDArray[np.int64]:
    """Return the part of each row of a table with patients and labels."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedGroupKFold if by == "patient" else StratifiedKFold
    strata = _rarest(rows) if by == "patient" else _sets(rows)
    if np.bincount(strata).max() < folds:  # scikit-learn needs one stratum that is large enough
        strata = np.zeros_like(strata)
    groups = rows["patient"].rank("dense").to_numpy() if by == "patient" else None
    dealt = np.empty(len(rows), dtype=np.int64)
    splitter = kind(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # In small data, a stratum with fewer images than folds cannot be in every fold.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for part, (_, held_out) in enumerate(splitter.split(strata, strata, groups)):
            dealt[held_out] = part
    return dealt


def _rarest(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return the rank of each image's rarest label, from 1; 0 for an image without any."""
    labels = rows.select(_NAMES).to_numpy()
    by_share = np.argsort(-labels.sum(axis=0), kind="stable")  # the most frequent first
    ranks: NDArray[np.int64] = (labels[:, by_share] * np.arange(1, len(LABELS) + 1)).max(axis=1)
    return ranks


def _sets(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return a number for each image's set of labels."""
    powers: NDArray[np.int64] = 2 ** np.arange(len(LABELS))
    return rows.select(_NAMES).to_numpy().astype(np.int64) @ powers
