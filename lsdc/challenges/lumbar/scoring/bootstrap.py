"""Scores of random sets of studies, for intervals of scores and of their differences."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.scoring.metric import PARTS
from lsdc.challenges.lumbar.scoring.scored import ANY_SEVERE, Scored
from lsdc.tables.resampling import DRAWS, Sums, resample


def bootstrap(
    all_scored: Sequence[Scored], *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Return the score and its parts for random sets of studies, as `resample` draws them.

    Args:
        all_scored: runs that score the same studies.
        draws: the number of sets.
        seed: the seed of the draws.

    Returns:
        (runs, draws, 1 + parts): the score, then the parts in the order of PARTS. A part without
        rows in a set is NaN, and the score is then the mean of the others.
    """
    studies = all_scored[0].rows["study_id"].unique().sort()
    parts = resample([_sums(each, studies) for each in all_scored], draws=draws, seed=seed)
    return np.concatenate([np.nanmean(parts, axis=2, keepdims=True), parts], axis=2)


def _sums(scored: Scored, studies: pl.Series) -> Sums:
    """Return each study's sums."""
    by_study = scored.rows.select("study_id", "kind", "weight", "loss")
    severe = scored.any_severe.select(
        "study_id", pl.lit(ANY_SEVERE).alias("kind"), "weight", "loss"
    )
    sums = (
        pl.concat([by_study, severe])
        .group_by("study_id", "kind")
        .agg(pl.col("weight").sum(), loss=(pl.col("weight") * pl.col("loss")).sum())
    )
    place = {study: number for number, study in enumerate(studies)}
    losses, weights = np.zeros((2, len(studies), len(PARTS)))
    for study, kind, weight, loss in sums.iter_rows():
        where = place[study], PARTS.index(kind)
        losses[where], weights[where] = loss, weight
    return Sums(losses, weights)
