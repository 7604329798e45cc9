"""Assign studies to folds, with rare grades spread evenly; hold some out of all, if asked."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import dataframely as dy
import numpy as np
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.competition.tables import Competition, Holdout, Labels
from lsdc.dicom_index.twins import groups_of_twins
from lsdc.errors import DataError, SettingsError
from lsdc.messages import Spell, counted, few
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table

log = logging.getLogger(__name__)

_MOST_PARTS = 100  # the held-out fraction is rounded to a hundredth


class Folds(Table):
    """One row per study that is in a fold."""

    study_id = columns.study(primary_key=True)
    fold = dy.Int32(min=0, description="Number of the fold that holds the study out, from 0.")


def assign_folds(
    labels: pl.DataFrame,
    study_ids: Sequence[int],
    folds: int,
    seed: int,
    twins: Mapping[int, int] | None = None,
) -> pl.DataFrame:
    """Assign studies to folds by scikit-learn's StratifiedGroupKFold.

    The samples are the labels' rows, the groups are the studies, and the strata combine pooled
    condition and grade: nine classes, plus one for empty labels. So severe grades of each condition
    are spread evenly, however rare. The order of `study_ids` does not matter.

    Args:
        labels: `competition.tables.Labels`.
        study_ids: the studies to assign.
        folds: the number of folds.
        seed: the seed of the shuffle.
        twins: studies that must share a fold, as `groups_of_twins` returns them.

    Returns:
        `Folds`, sorted by study; no fold is empty.

    Raises:
        SettingsError: fewer than two folds, or more folds than studies (twins count once).
        DataError: a study has no labels.
    """
    studies = sorted(set(study_ids))
    if folds < 2:
        raise SettingsError(f"folds: expected 2 or more, got {folds}; use more folds")
    different = len({(twins or {}).get(study, study) for study in studies})
    if folds > different:
        raise _too_many(folds, different, "images and labels")
    dealt = _deal(_strata(labels, studies), folds, seed, twins)
    return pl.DataFrame(
        {"study_id": studies, "fold": [dealt[study] for study in studies]},
        schema=pl.Schema(Folds),
    )


def require_studies(competition: Competition, folds: int, limit: int | None = None) -> None:
    """Refuse more folds than the tables have studies, before any image is read.

    Args:
        competition: the opened tables.
        folds: the requested number of folds.
        limit: the number of listed studies to use, from the first.

    Raises:
        SettingsError: the tables have fewer studies that are listed and labelled.
    """
    listed = competition.series.filter(split="train")["study_id"].unique(maintain_order=True)
    wanted = listed if limit is None else listed.head(limit)
    labelled = len(set(wanted) & set(competition.labels["study_id"]))
    if folds > labelled:
        raise _too_many(folds, labelled, "a row of train.csv and a listed series")


def _too_many(folds: int, studies: int, what: str) -> SettingsError:
    return SettingsError(
        f"folds: {folds} folds need at least as many studies, found {studies} with {what}; "
        f"{'use fewer folds' if studies > 1 else 'add studies'}"
    )


def hold_out(
    labels: pl.DataFrame,
    study_ids: Sequence[int],
    share: float,
    seed: int,
    twins: Mapping[int, int] | None = None,
) -> list[int]:
    """Return the studies held out of all folds as a test split, stratified as folds are.

    They are the first parts of a split into as many parts as the fraction's denominator, so the
    same studies are held out whatever the number of folds.

    Args:
        labels: `competition.tables.Labels`.
        study_ids: all studies that could be in a fold; their order does not matter.
        share: the fraction to hold out, from 0 to below 1, rounded to one that the number allows.
        seed: the seed of the shuffle.
        twins: studies that must stay together, as `groups_of_twins` returns them.

    Returns:
        Study ids in ascending order; none for a fraction of 0.

    Raises:
        SettingsError: the fraction amounts to no study, or to all.
        DataError: a study has no labels.
    """
    if not share:
        return []
    studies = sorted(set(study_ids))
    fraction = Fraction(share).limit_denominator(min(_MOST_PARTS, max(1, len(studies))))
    if not 0 < fraction < 1:
        raise SettingsError(
            f"holdout: {share:.0%} of {counted(len(studies), 'study')} is "
            f"{'none' if not fraction else 'all'}; expected a share that leaves studies in the "
            "holdout and in folds, such as 10%"
        )
    parts = _deal(_strata(labels, studies), fraction.denominator, seed, twins)
    return [study for study in studies if parts[study] < fraction.numerator]


def _strata(labels: pl.DataFrame, studies: list[int]) -> pl.DataFrame:
    rows = labels.filter(pl.col("study_id").is_in(studies)).sort("study_id", "condition", "level")
    without = sorted(set(studies) - set(rows["study_id"]))
    if without:
        raise DataError(
            f"folds: {counted(len(without), 'study')} without labels (the first: {without[0]}); "
            "expected a row of train.csv for each"
        )
    graded = pl.format("{} {}", columns.KIND, "grade")
    empty = pl.col("grade").is_null()
    return rows.select("study_id", stratum=pl.when(empty).then(pl.lit("empty")).otherwise(graded))


def _deal(
    strata: pl.DataFrame, folds: int, seed: int, twins: Mapping[int, int] | None
) -> dict[int, int]:
    """Return the part of each study; twins are kept together as if they were one study."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # In small data, a class with fewer rows than folds cannot be in every fold.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        studies, groups = strata["study_id"], strata["study_id"].replace(twins or {})
        classes = strata["stratum"].to_numpy()
        parts = list(splitter.split(np.zeros(len(strata)), classes, groups.to_numpy()))
    held_out = [studies.gather(validation).unique().to_list() for _, validation in parts]
    return {study: fold for fold, members in enumerate(held_out) for study in members}


def write_folds(
    labels: pl.DataFrame,
    studies: pl.DataFrame,
    out: Path,
    *,
    folds: int,
    seed: int,
    strict: bool,
    holdout: float = 0.0,
    twins: pl.DataFrame | None = None,
    spell: Spell = str,
) -> int:
    """Assign the studies with images and labels to folds; studies with the same images share one.

    Writes `folds.parquet` (`Folds`); `labels.parquet`, the labels of these studies; and
    `holdout.parquet`, the labels of the studies held out of all folds, if any.

    Args:
        labels: `competition.tables.Labels`.
        studies: study_id and `usable`, one row per listed study (see `join_index`).
        out: an existing folder.
        folds: the number of folds.
        seed: the seed of the shuffle.
        strict: whether to refuse to leave a study out.
        holdout: the fraction of studies to hold out of all folds; see `hold_out`.
        twins: a table of the schema `twins.Twins`.
        spell: a function that formats ids for messages.

    Returns:
        The number of studies assigned to folds.

    Raises:
        SettingsError, DataError: as `assign_folds`; with `strict`, if a study is left out.
    """
    labelled = set(labels["study_id"])
    usable = set(studies.filter("usable")["study_id"])
    left_out = sorted((labelled | set(studies["study_id"])) - (labelled & usable))
    if left_out:
        named = few(list(map(spell, left_out)))
        message = f"{counted(len(left_out), 'study')} without images or labels: {named}"
        if strict:
            raise DataError(f"folds: {message}; complete them, or run without --strict")
        log.warning("folds: %s; they are in no fold and not scored", message)
    together = {} if twins is None else groups_of_twins(twins, "train")
    held_out = hold_out(labels, sorted(labelled & usable), holdout, seed, together)
    dealt = assign_folds(labels, sorted((labelled & usable) - set(held_out)), folds, seed, together)
    if together:
        log.warning("folds: %d studies share images; each group stays in one fold", len(together))
    own = labels.filter(pl.col("study_id").is_in(dealt["study_id"].implode()))
    write_table(Folds, dealt, out / "folds.parquet")
    write_table(Labels, own, out / "labels.parquet")
    apart = labels.filter(pl.col("study_id").is_in(held_out))
    write_table(Holdout, apart, out / "holdout.parquet")
    return len(dealt)
