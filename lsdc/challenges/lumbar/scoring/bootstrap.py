"""Intervals of scores, and of their differences, by drawing studies with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.scoring.metric import PARTS
from lsdc.challenges.lumbar.scoring.scored import ANY_SEVERE, Scored

DRAWS = 2000
COVERAGE = 0.95
_AT_ONCE = 250  # draws, to bound memory


@dataclass(frozen=True)
class Interval:
    """A 95 % interval: the middle 95 % of the values over all draws."""

    low: float
    high: float


def bootstrap(
    all_scored: Sequence[Scored], *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Return the score and its parts for random sets of studies.

    Every run gets the same sets, so differences between runs are paired.

    Args:
        all_scored: runs that score the same studies.
        draws: the number of sets, each of as many studies as there are, drawn with replacement.
        seed: the seed of the draws.

    Returns:
        (runs, draws, 1 + parts): the score, then the parts in the order of PARTS. A part without
        rows in a set is NaN, and the score is then the mean of the others.
    """
    studies = all_scored[0].rows["study_id"].unique().sort()
    sums = [_sums(each, studies) for each in all_scored]
    random, count = np.random.default_rng(seed), len(studies)
    found = np.empty((len(sums), draws, 1 + len(PARTS)))
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        chosen = random.integers(count, size=(size, count))
        times = np.apply_along_axis(np.bincount, 1, chosen, minlength=count).astype(float)
        for run, (losses, weights) in enumerate(sums):
            with np.errstate(invalid="ignore", divide="ignore"):
                parts = (times @ losses) / (times @ weights)
            found[run, start : start + size, 1:] = parts
            found[run, start : start + size, 0] = np.nanmean(parts, axis=1)
    return found


def interval(values: NDArray[np.float64]) -> Interval:
    """Return the interval of the values of all draws; NaN is left out."""
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _sums(scored: Scored, studies: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each study's sum of weighted losses and of weights, (studies, parts) each."""
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
    return losses, weights
