"""Studies dealt into folds, whole, with the rare grades spread evenly."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lsdc.errors import DataError, SettingsError
from lsdc.lumbar.vocabulary import CONDITIONS
from lsdc.store.files import write_atomic

log = logging.getLogger(__name__)


def assign_folds(
    labels: pl.DataFrame, study_ids: Sequence[int], folds: int, seed: int
) -> pl.DataFrame:
    """Deal studies into folds by scikit-learn's StratifiedGroupKFold.

    The samples are the labels' rows, the groups the studies, and the strata the pooled condition
    with its grade: nine classes and one for empty labels, so that severe canals, foramina and
    recesses are each spread, however rare. The order of `study_ids` does not matter.

    Returns:
        study_id (i64), fold (i32, 0 .. folds - 1), sorted by study; no fold is empty.

    Raises:
        SettingsError: fewer than two folds, or more folds than studies.
        DataError: a study has no labels.
    """
    studies = sorted(set(study_ids))
    if folds < 2:
        raise SettingsError(f"folds: {folds} is too few to hold studies out; ask for 2 or more")
    if folds > len(studies):
        raise SettingsError(
            f"folds: {folds} folds need as many studies, found {len(studies)} with images and "
            f"labels; {'ask for fewer folds' if len(studies) > 1 else 'add studies'}"
        )
    strata = _strata(labels, studies)
    dealt = _deal(strata["stratum"].to_numpy(), strata["study_id"].to_numpy(), folds, seed)
    return pl.DataFrame(
        {"study_id": studies, "fold": [dealt[study] for study in studies]},
        schema={"study_id": pl.Int64, "fold": pl.Int32},
    )


def _strata(labels: pl.DataFrame, studies: list[int]) -> pl.DataFrame:
    rows = labels.filter(pl.col("study_id").is_in(studies)).sort("study_id", "condition", "level")
    without = sorted(set(studies) - set(rows["study_id"]))
    if without:
        raise DataError(
            f"folds: {len(without)} studies have no labels (the first: {without[0]}); "
            "expected a row of train.csv for each"
        )
    pooled = {str(condition): condition.pooled for condition in CONDITIONS}
    graded = pl.format("{} {}", pl.col("condition").replace_strict(pooled), "grade")
    empty = pl.col("grade").is_null()
    return rows.select("study_id", stratum=pl.when(empty).then(pl.lit("empty")).otherwise(graded))


def _deal(strata: np.ndarray, studies: np.ndarray, folds: int, seed: int) -> dict[int, int]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer rows than folds cannot be in every fold; small data is like that.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(splitter.split(np.zeros(len(strata)), strata, studies))
    held_out = [np.unique(studies[validation]).tolist() for _, validation in parts]
    return {study: fold for fold, members in enumerate(held_out) for study in members}


def deal_studies(
    labels: pl.DataFrame, studies: pl.DataFrame, out: Path, *, folds: int, seed: int, strict: bool
) -> int:
    """Deal the studies that have images and labels; write `folds.parquet` and `labels.parquet`.

    Args:
        labels: study_id, condition, level, grade.
        studies: study_id and `usable`, a row a listed study (see `build_index`).
        out: an existing folder.
        folds: how many.
        seed: of the shuffle.
        strict: refuse to leave a study out.

    Returns:
        Studies dealt.

    Raises:
        SettingsError, DataError: as `assign_folds`; with `strict`, if a study is left out.
    """
    labelled = set(labels["study_id"])
    usable = set(studies.filter("usable")["study_id"])
    left_out = sorted((labelled | set(studies["study_id"])) - (labelled & usable))
    if left_out:
        message = f"{len(left_out)} studies lack images or labels (the first: {left_out[0]})"
        if strict:
            raise DataError(f"folds: {message}; complete them, or run without --strict")
        log.warning("folds: %s; left out of folds and scores", message)
    dealt = assign_folds(labels, sorted(labelled & usable), folds, seed)
    kept = labels.join(dealt.select("study_id"), on="study_id", maintain_order="left")
    for name, table in {"folds": dealt, "labels": kept}.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)
    return len(dealt)
