"""Names: how sure the names of a study's levels are, that of L5/S1 above all.

A spine with an extra or a missing vertebra shifts all names by one. So does a view in which the
sacrum cannot be seen. The grades of such a study may be right and stand at the wrong level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.coordinates.agreement import SURE
from lsdc.challenges.lumbar.coordinates.level_points import AGREEMENT_MM
from lsdc.challenges.lumbar.coordinates.moves import one_off
from lsdc.challenges.lumbar.coordinates.spines import TWO_STEPS
from lsdc.challenges.lumbar.vocabulary import LEVELS, Level
from lsdc.messages import counted

Floats = NDArray[np.float64]

# Probability of names one off that is doubtful however unsure the models usually are. The flag of
# the spines table compares it with the usual one, which weak models never exceed 50 times. It is
# twice the most that the demo's models gave on 52 phantoms with five lumbar vertebrae (0.016).
LIKELY_SHIFT = 0.03
_XYZ = ["x_mm", "y_mm", "z_mm"]
_LOWEST = str(Level.L5_S1)


@dataclass(frozen=True)
class NamedLevel:
    """A level of a study.

    Attributes:
        confidence: of its point and its name, 0 to 1; 0 without a point.
        source: `predicted`; `filled` if the point was computed from other levels or studies;
            `absent` if no image shows the level.
        agreeing: the number of folds' models that place the level within 10 mm.
        position_mm: the point (LPS), or None.
        is_sure: whether it was seen, with a confidence of at least 0.4, and more than half of the
            folds' models agree.
    """

    confidence: float
    source: str
    agreeing: int
    position_mm: tuple[float, float, float] | None
    is_sure: bool = False


@dataclass(frozen=True)
class Names:
    """The names of a study's levels.

    Attributes:
        levels: each level by its name.
        doubts: why names may be wrong; empty if nothing speaks against them.
        extra_or_missing: whether the spine may have an extra or a missing vertebra; None if the
            names are too unsure to tell: L5/S1 or another level that an image shows is not sure.
    """

    levels: Mapping[str, NamedLevel]
    doubts: tuple[str, ...]
    extra_or_missing: bool | None


def name_levels(
    points: pl.DataFrame, by_model: pl.DataFrame, spine: Mapping[str, object], models: int
) -> Names:
    """Describe how sure the names of one study's levels are.

    Args:
        points: its rows of the points table.
        by_model: its rows of the table `ModelPoints`.
        spine: its row of the spines table; empty if it has no points.
        models: the number of the folds' models.
    """
    placed = _positions(points)
    alone = [_positions(by_model.filter(model=model)) for model in range(models)]
    away = [np.linalg.norm(own - placed, axis=1) for own in alone]
    agreeing = np.sum([np.nan_to_num(each, nan=np.inf) <= AGREEMENT_MM for each in away], axis=0)
    rows = {row["level"]: row for row in points.iter_rows(named=True)}
    levels = {
        str(level): _named(
            rows.get(level),
            int(agreeing[number]),
            models,
            tuple(placed[number].tolist()) if level in rows else None,
        )
        for number, level in enumerate(map(str, LEVELS))
    }
    shifted = sum(one_off(placed, own) for own in alone if _has_several(placed, own))
    odd = _shape_doubts(spine, shifted, models)
    doubts = (*odd, *_level_doubts(levels, spine))
    return Names(levels, doubts, True if odd else None if _are_unsure(levels) else False)


def _named(
    row: Mapping[str, Any] | None,
    agreeing: int,
    models: int,
    position_mm: tuple[float, float, float] | None,
) -> NamedLevel:
    if row is None:
        return NamedLevel(0.0, "absent", agreeing, None)
    confidence, source = row["confidence"], row["source"]
    is_sure = source == "predicted" and confidence >= SURE and 2 * agreeing > models
    return NamedLevel(confidence, source, agreeing, position_mm, is_sure)


def _are_unsure(levels: Mapping[str, NamedLevel]) -> bool:
    """Return whether nothing can be said about the number of vertebrae."""
    shown = [each for each in levels.values() if each.source != "absent"]
    return not levels[_LOWEST].is_sure or not all(each.is_sure for each in shown)


def _positions(points: pl.DataFrame) -> Floats:
    """Return (levels, 3) positions in mm, NaN where there is none."""
    found = np.full((len(LEVELS), 3), np.nan)
    for level, *place in points.select("level", *_XYZ).iter_rows():
        found[LEVELS.index(level)] = place
    return found


def _has_several(placed: Floats, own: Floats) -> bool:
    """Return whether two namings can be compared: they share at least two levels."""
    return int((np.isfinite(placed) & np.isfinite(own)).all(axis=1).sum()) >= 2


def _shape_doubts(spine: Mapping[str, object], shifted: int, models: int) -> list[str]:
    """Return the signs of an extra or a missing vertebra."""
    doubts = []
    widest, weight = spine.get("widest_step"), spine.get("shifted")
    if isinstance(widest, float) and widest > TWO_STEPS:
        doubts.append(
            f"a step between two levels is {widest:.1f} times the usual one, as if a level between "
            "them had no name"
        )
    elif isinstance(weight, float) and (spine.get("extra_vertebra") or weight > LIKELY_SHIFT):
        doubts.append(
            f"all names may be one level off (probability {weight:.2g}): an extra or a missing "
            "vertebra, or the sacrum is out of view"
        )
    if shifted:
        doubts.append(f"{shifted} of {counted(models, 'fold')} name the levels one off")
    return doubts


def _level_doubts(levels: Mapping[str, NamedLevel], spine: Mapping[str, object]) -> list[str]:
    def spell(names: list[str]) -> str:
        return ", ".join(name.upper().replace("_", "/") for name in names)

    if not any(each.source == "predicted" for each in levels.values()):
        return ["no level was found in the images"]
    doubts = []
    for source, words in (
        ("absent", "outside all images"),
        ("filled", "not seen, placed by the other levels"),
    ):
        names = [name for name, each in levels.items() if each.source == source]
        if names:
            doubts.append(f"{spell(names)}: {words}")
    if disputed := str(spine.get("disputed_levels") or "").split():
        doubts.append(f"{spell(disputed)}: sagittal and axial images over 10 mm apart")
    unsure = [
        name for name, each in levels.items() if each.source == "predicted" and not each.is_sure
    ]
    if unsure:
        least = min(levels[name].confidence for name in unsure)
        doubts.insert(0, f"{spell(unsure)}: confidence of the name down to {least:.2f}")
    return doubts
