"""Moves: find and undo patient motion between the series of a study.

After such motion the positions of a series no longer match the anatomy of the other series, and no
header shows it: in real data each series has its own frame of reference. The level points do.
Where two views are over 10 mm apart, by the same shift at all levels, one is the reference and the
other is moved back: of sagittal series the reference is the one that more views agree with, else
T2; of a sagittal and an axial series, the sagittal one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.coordinates.level_points import AGREEMENT_MM, Floats, known_points
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition
from lsdc.messages import Spell, counted, few
from lsdc.tables.table import Table, one_of, real

# Split, study, series, and its displacement (3,) in mm.
Shift = tuple[str, int, int, Floats]

_AWAY = (
    "Shift of the levels of this series relative to the levels of the other series of the study."
)


class Moves(Table):
    """One row per series that is shifted because the patient moved between the series of
    the study.
    """

    split = columns.split()
    study_id = columns.study()
    series_id = columns.series()
    x_mm = real(_AWAY)
    y_mm = real(_AWAY)
    z_mm = real(_AWAY)
    source = dy.String(
        check=one_of(["annotated", "predicted"]),
        description="The points from which the shift was computed: annotated or predicted.",
    )


# Least number of levels that both views must have, for predicted and for annotated points.
LEAST_PREDICTED, LEAST_ANNOTATED = 3, 2
# A move is rigid; beyond it, points of one level differ by a few mm between views.
RIGID_MM = 6.0
# Levels of one view this near to the neighbouring levels of the other are named differently.
RENAMED_MM = 4.0
# Largest height difference of left and right points of one level; that of two levels is larger.
ONE_HEIGHT_MM = 15.0

_SERIES = ["study_id", "series_id"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
_CANAL = str(Condition.SPINAL_CANAL_STENOSIS)
_ZONES = [str(c) for c in Condition if c.pooled == "subarticular"]


def shift_between(
    first_mm: Floats, other_mm: Floats, least: int = LEAST_PREDICTED
) -> Floats | None:
    """Return the shift between two views' points if it is over 10 mm and the same at all levels.

    Points at the positions of neighbouring levels are misnamed, not moved.

    Args:
        first_mm: (levels, 3) points of the reference view, NaN where a level is unknown.
        other_mm: (levels, 3) points of the other view.
        least: least number of levels that both must know.

    Returns:
        The shift (3,) in mm from the reference to the other view, or None.

    >>> seen = np.array([[0.0, 0.0, z] for z in (140, 105, 70, 35, 0)])
    >>> shift_between(seen, seen + [0, 0, 15]).tolist()
    [0.0, 0.0, 15.0]
    >>> shift_between(seen, seen + [0, 0, 35]) is None  # named one off
    True
    """
    # (levels that both know, 3) mm.
    gaps = _gaps(first_mm, other_mm)
    if len(gaps) < least:
        return None
    shift: Floats = np.median(gaps, axis=0)
    # If only one of two axial series moved, no single shift fits both.
    odd = np.linalg.norm(gaps - shift, axis=1) > 2 * RIGID_MM
    rigid = _median_length(gaps - shift) <= RIGID_MM and odd.sum() <= 1
    if np.linalg.norm(shift) <= AGREEMENT_MM or not rigid or one_off(first_mm, other_mm):
        return None
    return shift


def one_off(first_mm: Floats, other_mm: Floats) -> bool:
    """Return whether the levels of one view match those of the other under names one off."""
    gaps = _gaps(first_mm, other_mm)
    left_over = _median_length(gaps - np.median(gaps, axis=0)) if len(gaps) else 0.0
    # (levels - 1, 3) each: the other's levels against the first's one above, and one below.
    pairs = ((other_mm[1:], first_mm[:-1]), (other_mm[:-1], first_mm[1:]))
    return any(
        _median_length(named - next_to) <= max(left_over, RENAMED_MM) for named, next_to in pairs
    )


def apart(first_mm: Floats, other_mm: Floats) -> NDArray[np.bool_]:
    """Return a mask (levels,) of those that both views know and place over 10 mm apart."""
    # (levels,) mm; NaN where a view does not know the level, which counts as 0.
    distance = np.linalg.norm(other_mm - first_mm, axis=1)
    far: NDArray[np.bool_] = np.nan_to_num(distance) > AGREEMENT_MM
    return far


def odd_ones(
    positions: Mapping[int, Floats], witness_mm: Floats, least: int = LEAST_PREDICTED
) -> dict[int, Floats]:
    """Return the shift of each series that moved from the one that most others agree with.

    Args:
        positions: points (levels, 3) of each series, NaN where unknown; in a tie the first series
            leads.
        witness_mm: points (levels, 3) of other images, which vote but are not moved.
        least: least number of levels that two views must both know.

    >>> seen = np.array([[0.0, 0.0, z] for z in (140, 105, 70, 35, 0)])
    >>> odd_ones({11: seen, 12: seen + [0, 20, 0], 13: seen}, witness_mm=seen)
    {12: array([ 0., 20.,  0.])}
    """
    if len(positions) < 2:
        return {}
    # Number of views that agree with each series, the witness included.
    votes = {
        series: _agrees(own, witness_mm, least)
        + sum(_agrees(own, other, least) for one, other in positions.items() if one != series)
        for series, own in positions.items()
    }
    leader = max(votes, key=lambda series: votes[series])
    shifts = {
        series: shift_between(positions[leader], own, least) for series, own in positions.items()
    }
    return {series: shift for series, shift in shifts.items() if shift is not None}


def _agrees(first_mm: Floats, other_mm: Floats, least: int) -> bool:
    gaps = _gaps(first_mm, other_mm)
    return len(gaps) >= least and _median_length(gaps) <= AGREEMENT_MM


def _gaps(first_mm: Floats, other_mm: Floats) -> Floats:
    """Return the offsets (levels that both know, 3) of the other's points from the first's."""
    gaps = other_mm - first_mm
    both: Floats = gaps[np.isfinite(gaps).all(axis=1)]
    return both


def annotated_moves(instances: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Return the moves table found from annotated points.

    Args:
        instances: the instances table.
        annotations: the annotations table.
    """
    places = place_annotations(instances, annotations)
    zones = pl.col("condition").is_in(_ZONES)
    own, axial = places.filter(~zones), places.filter(zones)
    moves = _moves_table(_annotated_sagittal(own, axial), "annotated")
    studies, believed, _ = known_points(_points_moved_back(own, moves))
    by_study = dict(zip(studies, believed, strict=True))
    nothing = np.full((len(LEVELS), 3), np.nan)
    away = [
        (split, study, series, shift)
        for (split, study, series), points in _by_series(axial)
        if (shift := shift_between(by_study.get(study, nothing), points, LEAST_ANNOTATED))
        is not None
    ]
    return pl.concat([moves, _moves_table(away, "annotated")]).sort(_SERIES, maintain_order=True)


def _annotated_sagittal(own: pl.DataFrame, axial: pl.DataFrame) -> list[Shift]:
    """Return the sagittal series that moved against the others of their study."""
    nothing = np.full((len(LEVELS), 3), np.nan)
    studies, by_axial, _ = known_points(axial)
    witness = dict(zip(studies, by_axial, strict=True))
    positions: dict[tuple[str, int], dict[int, Floats]] = {}
    # The first series leads in a tie: one with canal points, which are on T2.
    canal_first = own.sort((pl.col("condition") != _CANAL).cast(pl.Int8), maintain_order=True)
    for (split, study, series), points in _by_series(canal_first):
        positions.setdefault((split, study), {})[series] = points
    return [
        (split, study, series, shift)
        for (split, study), views in positions.items()
        for series, shift in odd_ones(views, witness.get(study, nothing), LEAST_ANNOTATED).items()
    ]


def _by_series(places: pl.DataFrame) -> list[tuple[tuple[Any, ...], Floats]]:
    """Return (split, study, series) and points (levels, 3) of each annotated series.

    Left and right points of a level at different heights are left out: one of them is named for
    another level, so that their midpoint is meaningless.
    """
    height = pl.col("z_mm").max() - pl.col("z_mm").min()
    at_one_height = height.over("split", *_SERIES, columns.KIND, "level") <= ONE_HEIGHT_MM
    places = places.filter(at_one_height | (pl.col("condition") == _CANAL))
    groups = places.group_by("split", *_SERIES, maintain_order=True)
    # (1, levels, 3), as a series is of one study.
    return [(key, known_points(own)[1][0]) for key, own in groups]


def predicted_moves(split: str, shifts: Iterable[tuple[int, int, Floats]]) -> pl.DataFrame:
    """Return the moves table of series that nets found to have moved.

    Args:
        split: the split of their studies.
        shifts: study, series and shift (3,) in mm of each.
    """
    return _moves_table([(split, *each) for each in shifts], "predicted").sort(_SERIES)


def _moves_table(shifts: Iterable[Shift], source: str) -> pl.DataFrame:
    rows = [(*key, *shift.tolist(), source) for *key, shift in shifts]
    return pl.DataFrame(rows, schema=pl.Schema(Moves), orient="row")


def _points_moved_back(places: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Return the points, with the moves of their series undone."""
    shift = moves.select(*_SERIES, *(pl.col(axis).alias(f"{axis}_away") for axis in _XYZ))
    at = places.join(shift, on=_SERIES, how="left", maintain_order="left")
    back = (pl.col(axis) - pl.col(f"{axis}_away").fill_null(0.0) for axis in _XYZ)
    return at.with_columns(back).select(places.columns)


def moved_back(instances: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Return the instances, with the moves of their series undone."""
    if moves.is_empty():
        return instances
    shift = moves.select(*_SERIES, shift_mm=pl.concat_list(_XYZ).list.to_array(3))
    at = instances.join(shift, on=_SERIES, how="left", maintain_order="left")
    moved = pl.when(pl.col("shift_mm").is_null()).then("position_mm")
    return at.with_columns(
        position_mm=moved.otherwise(pl.col("position_mm") - pl.col("shift_mm"))
    ).drop("shift_mm")


def describe_moves(moves: pl.DataFrame, spell: Spell = str) -> str:
    """Return one line on which series moved, and how far."""
    names = [
        f"{spell(study)}/{spell(series)} {np.linalg.norm(shift):.0f} mm"
        for study, series, *shift in moves.select(*_SERIES, *_XYZ).iter_rows()
    ]
    return (
        f"{counted(len(moves), 'series')} shifted by over 10 mm against the other series of their "
        f"study, now moved back: {few(names)}; the patient moved between the series; for the "
        "directions see the catalog's table moves"
    )


def _median_length(vectors: NDArray[np.float64]) -> float:
    known = vectors[np.isfinite(vectors).all(axis=1)]
    return float(np.median(np.linalg.norm(known, axis=1))) if len(known) >= 2 else np.inf
