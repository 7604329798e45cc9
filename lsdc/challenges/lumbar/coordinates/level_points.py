"""Level points: what annotations say of them, and the rules that make five of what was found.

Arrays are (..., levels, 3) in patient space (LPS, mm; +z points up), levels in the order of LEVELS.
"""

import warnings
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.coordinates.level_planes import spine_directions
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition

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

# From the middle of a level's left and right points to its canal point in an ordinary adult, mm
# to the back and to the head, across and along the spine; the surer middle first. Subarticular
# zones lie in front of the canal, foramina above it as well.
_MIDDLES = (
    (Condition.LEFT_SUBARTICULAR_STENOSIS, Condition.RIGHT_SUBARTICULAR_STENOSIS, 4.0, 0.0),
    (
        Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
        Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
        4.0,
        -5.0,
    ),
)
_BACK = np.array([0.0, 1.0, 0.0])


def known_points(places: pl.DataFrame) -> tuple[list[int], Floats, NDArray[np.bool_]]:
    """The level points that annotations give, study by study.

    A level's point is its canal point. Where there is none, it is taken from the middle between the
    level's subarticular points, or else its foraminal ones.

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
    points = at[Condition.SPINAL_CANAL_STENOSIS]
    from_canal: NDArray[np.bool_] = np.isfinite(points[..., 0])
    for left, right, back_mm, up_mm in _MIDDLES:
        middle = _canal_beside((at[left] + at[right]) / 2, back_mm, up_mm)
        points = np.where(np.isfinite(points), points, middle)
    return studies, points, from_canal


def _canal_beside(middles_mm: Floats, back_mm: float, up_mm: float) -> Floats:
    """Canal points from the middles (studies, levels, 3) between left and right points."""
    points = middles_mm.copy()
    for own in points:
        known = np.isfinite(own).all(axis=1)
        if known.any():
            along = spine_directions(own[known])
            across = _BACK - along * (along @ _BACK)[:, None]
            across /= np.linalg.norm(across, axis=1, keepdims=True)
            own[known] += back_mm * across + up_mm * along
    return points


def fuse_views(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """One place a point from several views that show it.

    The most confident view leads; those that agree with it share in the place, those that do not
    take from its confidence.

    Args:
        points_mm: (views, points, 3), NaN where a view does not show a point.
        confidence: (views, points).

    Returns: places (points, 3), NaN where no view shows a point, and confidence (points,).
    """
    confidence = np.where(np.isfinite(points_mm).all(axis=2), confidence, 0.0)
    leader = points_mm[confidence.argmax(axis=0), np.arange(points_mm.shape[1])]
    agrees = np.linalg.norm(points_mm - leader, axis=2) <= AGREEMENT_MM
    weight = confidence * agrees
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore"):  # nobody's point is 0 of 0
        fused = (np.nan_to_num(points_mm) * weight[..., None]).sum(axis=0) / total[:, None]
        trust = (weight * confidence).sum(axis=0) / confidence.sum(axis=0)
    return fused, np.nan_to_num(trust)


def median_of_models(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """One place a point from several models; each that lies off takes its share of the trust.

    Args:
        points_mm: (models, points, 3), NaN where a model sees none.
        confidence: (models, points).

    Returns: places (points, 3), the median of the models that see a point, NaN where fewer than
        half do; and confidence (points,): the mean over all models, where one that lies
        AGREEMENT_MM from the median counts 0.37 of its own, one twice as far 0.02.
    """
    seen = np.isfinite(points_mm).all(axis=2)
    enough = 2 * seen.sum(axis=0) >= len(points_mm)
    held = np.where((seen & enough)[..., None], points_mm, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of points that nobody sees
        median = np.nanmedian(held, axis=0)
    off = np.nan_to_num(np.linalg.norm(held - median, axis=2))
    agreeing = np.where(seen, confidence, 0.0) * np.exp(-((off / AGREEMENT_MM) ** 2))
    return median, enough * agreeing.mean(axis=0)


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
