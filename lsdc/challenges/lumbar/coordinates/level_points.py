"""Level points: read them from annotations, fuse predictions, and complete them to five levels.

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

# Least confidence of a point that counts as seen.
SEEN_CONFIDENCE = 0.1
# Neighbouring levels are 25 to 45 mm apart; below this drop, one of them is wrong.
MIN_STEP_MM = 10.0
# Step from a level to the next, where a study has too few points for its own.
TYPICAL_STEP_MM = np.array([0.0, 0.0, -35.0])
# Factor on its neighbours' confidence for a filled level.
FILLED_SHARE = 0.25
# Two predictions of a point farther apart than this disagree.
AGREEMENT_MM = 10.0

# Offset from the midpoint of a level's left and right points to its canal point in a typical adult:
# mm to the back (across the spine) and to the head (along it); the more reliable pair first.
# Subarticular zones are in front of the canal point, foramina also above it.
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
    """Return the annotated level points, study by study.

    A level's point is its canal point. Without one, it is derived from the midpoint of the level's
    subarticular points, or else of its foraminal points.

    Args:
        places: the placed annotations, as `place_annotations` returns them.

    Returns: study ids in ascending order, points (studies, levels, 3) with NaN where unknown, and
        a mask (studies, levels) of the points that are canal annotations.
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
    """Return canal points from the midpoints (studies, levels, 3) of left and right points."""
    points = middles_mm.copy()
    for own in points:
        known = np.isfinite(own).all(axis=1)
        if known.any():
            # (known levels, 3) unit vectors: up the spine, and to the back perpendicular to it.
            along = spine_directions(own[known])
            across = _BACK - along * (along @ _BACK)[:, None]
            across /= np.linalg.norm(across, axis=1, keepdims=True)
            own[known] += back_mm * across + up_mm * along
    return points


def fuse_views(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """Fuse the views' predictions of each point into one position.

    Views that agree with the most confident one are averaged; the others lower the confidence.

    Args:
        points_mm: (views, points, 3), NaN where a view does not show a point.
        confidence: (views, points).

    Returns: positions (points, 3), NaN where no view shows a point, and confidence (points,).

    >>> views = np.array([[[0.0, 0.0, 0.0]], [[0.0, 0.0, 4.0]], [[0.0, 0.0, 50.0]]])
    >>> point, confidence = fuse_views(views, np.array([[0.9], [0.3], [0.3]]))
    >>> point.tolist(), confidence.round(2).tolist()  # the third one disagrees
    ([[0.0, 0.0, 1.0]], [0.6])
    """
    confidence = np.where(np.isfinite(points_mm).all(axis=2), confidence, 0.0)
    # (points, 3) where each point's most confident view has it.
    leader = points_mm[confidence.argmax(axis=0), np.arange(points_mm.shape[1])]
    agrees = np.linalg.norm(points_mm - leader, axis=2) <= AGREEMENT_MM
    weight = confidence * agrees
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore"):  # a point that no view shows is 0 / 0
        fused = (np.nan_to_num(points_mm) * weight[..., None]).sum(axis=0) / total[:, None]
        trust = (weight * confidence).sum(axis=0) / confidence.sum(axis=0)
    return fused, np.nan_to_num(trust)


def median_of_models(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """Take the median of the models' predictions of each point; outliers lower the confidence.

    Args:
        points_mm: (models, points, 3), NaN where a model does not see a point.
        confidence: (models, points).

    Returns: positions (points, 3), the median of the models that see a point, NaN where fewer than
        half do; and confidence (points,), the mean over all models, in which a model AGREEMENT_MM
        from the median counts 0.37 of its own confidence, one twice as far 0.02.
    """
    seen = np.isfinite(points_mm).all(axis=2)
    # (points,) mask, and (models, points, 3) positions that count.
    enough = 2 * seen.sum(axis=0) >= len(points_mm)
    held = np.where((seen & enough)[..., None], points_mm, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # points that no model sees
        median = np.nanmedian(held, axis=0)
    # (models, points) mm; 0 where a model does not see the point and has no confidence.
    off = np.nan_to_num(np.linalg.norm(held - median, axis=2))
    agreeing = np.where(seen, confidence, 0.0) * np.exp(-((off / AGREEMENT_MM) ** 2))
    return median, enough * agreeing.mean(axis=0)


def complete_levels(
    points_mm: Floats, confidence: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]] | None:
    """Complete a study's points to all five levels; return None if no level is trusted.

    Levels that are not seen, or that contradict more confident ones, are filled from the others.

    Args:
        points_mm: (levels, 3) from top to bottom, NaN where unknown.
        confidence: (levels,).

    Returns: points, confidence, and a mask of the filled levels.

    >>> heights = np.array([140, np.nan, 70, 35, np.nan])
    >>> points, confidence, filled = complete_levels(heights[:, None] * [0, 0, 1], np.ones(5))
    >>> points[:, 2].tolist(), filled.tolist()
    ([140.0, 105.0, 70.0, 35.0, 0.0], [False, True, False, False, True])
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
    """Return the seen levels with the greatest total confidence that descend at every step.

    Args:
        points_mm: (levels, 3), NaN where unknown.
        confidence: (levels,).

    >>> heights = np.array([140, 105, 120, 35, 0])  # the third one is above the second
    >>> trusted_levels(heights[:, None] * [0, 0, 1], np.array([1.0, 0.9, 0.4, 0.8, 0.05]))
    [0, 1, 3]
    """
    seen = [
        level
        for level in range(len(LEVELS))
        if np.isfinite(points_mm[level]).all() and confidence[level] >= SEEN_CONFIDENCE
    ]
    best: tuple[float, list[int]] = (0.0, [])
    for count in range(len(seen), 0, -1):
        for chain in map(list, combinations(seen, count)):
            # (count - 1,) mm; a step over k levels must drop by k times the least step.
            drops = -np.diff(points_mm[chain, 2])
            trust = float(confidence[chain].sum())
            if trust > best[0] and (drops >= MIN_STEP_MM * np.diff(chain)).all():
                best = (trust, chain)
    return best[1]


def _own_step(points_mm: Floats, kept: list[int]) -> Floats:
    """Return the mean step from a level to the next among the kept levels."""
    if len(kept) < 2:
        return TYPICAL_STEP_MM
    step: Floats = (points_mm[kept[-1]] - points_mm[kept[0]]) / (kept[-1] - kept[0])
    return step
