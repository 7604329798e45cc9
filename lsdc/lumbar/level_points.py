"""Level points: what annotations say of them, and the rules that make five of what was found.

Arrays are (..., levels, 3) in patient space (LPS, mm; +z points up), levels in the order of LEVELS.
"""

from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.lumbar.vocabulary import LEVELS, Condition

Floats = NDArray[np.float64]

# A point is believed to show its level from this confidence on.
SEEN_CONFIDENCE = 0.1
# Levels next to each other lie 25 to 45 mm apart; nearer than this, one of them is wrong.
MIN_STEP_MM = 10.0
# From a level to the next, where a study shows too little to tell its own step.
TYPICAL_STEP_MM = np.array([0.0, 0.0, -35.0])
# Share of its neighbours' confidence that a filled level gets.
FILLED_SHARE = 0.25
# Two views of a level that lie farther apart than this do not speak of the same place.
AGREEMENT_MM = 10.0

_PAIRS = (
    (Condition.LEFT_NEURAL_FORAMINAL_NARROWING, Condition.RIGHT_NEURAL_FORAMINAL_NARROWING),
    (Condition.LEFT_SUBARTICULAR_STENOSIS, Condition.RIGHT_SUBARTICULAR_STENOSIS),
)


def known_points(places: pl.DataFrame) -> tuple[list[int], Floats, NDArray[np.bool_]]:
    """The level points that annotations give, study by study.

    A level's point is its canal point; where that is missing, the middle of its left and right
    foraminal points, or of its subarticular ones, or the mean of both middles.

    Args:
        places: as `place_annotations` returns.

    Returns: study ids in ascending order, points (studies, levels, 3) with NaN where nothing is
        known, and whether a point is a canal annotation (studies, levels).
    """
    studies = places["study_id"].unique().sort().to_list()
    row = {study: i for i, study in enumerate(studies)}
    means = places.group_by("study_id", "level", "condition").agg(
        pl.col("x_mm", "y_mm", "z_mm").mean()
    )
    at: dict[str, Floats] = {
        condition: np.full((len(studies), len(LEVELS), 3), np.nan) for condition in Condition
    }
    for study, level, condition, *place in means.iter_rows():
        at[condition][row[study], LEVELS.index(level)] = place
    canal = at[Condition.SPINAL_CANAL_STENOSIS]
    middles = np.stack([(at[left] + at[right]) / 2 for left, right in _PAIRS])
    present = np.isfinite(middles)
    # Where neither pair is whole the sum is 0 of 0 middles: not known.
    with np.errstate(invalid="ignore"):
        between = np.where(present, middles, 0.0).sum(axis=0) / present.sum(axis=0)
    from_canal: NDArray[np.bool_] = np.isfinite(canal[..., 0])
    return studies, np.where(from_canal[..., None], canal, between), from_canal


def fuse_views(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """One point a level from several series that show it.

    The most confident view leads; those that agree with it share in the place, those that do not
    take from its confidence.

    Args:
        points_mm: (views, levels, 3).
        confidence: (views, levels).

    Returns: points (levels, 3), confidence (levels,).
    """
    leader = points_mm[confidence.argmax(axis=0), np.arange(points_mm.shape[1])]
    agrees = np.linalg.norm(points_mm - leader, axis=2) <= AGREEMENT_MM
    weight = confidence * agrees
    total = weight.sum(axis=0)
    fused = (points_mm * weight[..., None]).sum(axis=0) / total[:, None]
    return fused, total / confidence.sum(axis=0) * (weight * confidence).sum(axis=0) / total


def median_of_models(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """One point a level from several models; the farther they lie apart, the less it is trusted.

    Args:
        points_mm: (models, levels, 3).
        confidence: (models, levels).

    Returns: points (levels, 3), confidence (levels,): the mean confidence, times 0.37 where a model
        lies AGREEMENT_MM from the median, 0.02 where it lies twice as far.
    """
    median = np.median(points_mm, axis=0)
    farthest = np.linalg.norm(points_mm - median, axis=2).max(axis=0)
    return median, confidence.mean(axis=0) * np.exp(-((farthest / AGREEMENT_MM) ** 2))


def complete_levels(
    points_mm: Floats, confidence: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]] | None:
    """All five points of a study, in order from top to bottom, or None where none can be had.

    Levels that are not seen, or that contradict more trusted ones, are filled from the others.

    Args:
        points_mm: (levels, 3), NaN where nothing is known.
        confidence: (levels,).

    Returns: points, confidence, and which of them are filled.
    """
    kept = trusted_levels(points_mm, confidence)
    if not kept:
        return None
    filled = np.ones(len(LEVELS), bool)
    filled[kept] = False
    points, trust = points_mm.copy(), confidence.copy()
    step = _own_step(points_mm, kept)
    for level in np.flatnonzero(filled):
        above = max((k for k in kept if k < level), default=None)
        below = min((k for k in kept if k > level), default=None)
        if above is not None and below is not None:
            share = (level - above) / (below - above)
            points[level] = (1 - share) * points_mm[above] + share * points_mm[below]
            trust[level] = FILLED_SHARE * min(confidence[above], confidence[below])
        else:
            nearest = above if above is not None else below
            assert nearest is not None
            points[level] = points_mm[nearest] + (level - nearest) * step
            trust[level] = FILLED_SHARE * confidence[nearest] / abs(level - nearest)
    return points, trust, filled


def trusted_levels(points_mm: Floats, confidence: Floats) -> list[int]:
    """The seen levels of the greatest summed confidence that descend from each to the next.

    Args:
        points_mm: (levels, 3), NaN where nothing is known.
        confidence: (levels,).
    """
    seen = [
        level
        for level in range(len(LEVELS))
        if np.isfinite(points_mm[level]).all() and confidence[level] >= SEEN_CONFIDENCE
    ]
    best: tuple[float, list[int]] = (0.0, [])
    for count in range(len(seen), 0, -1):
        for chain in map(list, combinations(seen, count)):
            drops = -np.diff(points_mm[chain, 2])
            trust = float(confidence[chain].sum())
            if trust > best[0] and (drops >= MIN_STEP_MM * np.diff(chain)).all():
                best = (trust, chain)
    return best[1]


def _own_step(points_mm: Floats, kept: list[int]) -> Floats:
    """From a level to the next, as the kept levels show it on average."""
    if len(kept) < 2:
        return TYPICAL_STEP_MM
    step: Floats = (points_mm[kept[-1]] - points_mm[kept[0]]) / (kept[-1] - kept[0])
    return step
