"""Annotated points against what the study's other points say of their level.

A point is held against those of the other conditions at its level, in mm, where they agree among
themselves; so one wrong point accuses itself and not those beside it. Distances are taken in the
sagittal plane, since conditions lie side by side. Where no image can be placed there is one
measure left: a point among those of its own condition on one sagittal image series, in steps from
a level to the next, which no pixel spacing is needed for.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side

Floats = NDArray[np.float64]

# Lumbar discs follow one another at 30 to 40 mm: a point further than this from its level's others
# is nearer to a neighbouring level.
OFF_LEVEL_MM = 20.0
# Foramina lie 5 to 10 mm above their disc, and nearer to the front than canal and recesses.
AGREEMENT_MM = 15.0
# To the side of the middle: foramina lie 15 to 25 mm beside it.
OFF_MIDDLE_MM = 45.0
# Middles that two kinds of points show of one level are taken for one within this.
MIDDLES_AGREE_MM = 10.0
# Canal and foraminal points lie on sagittal slices 4 to 6 mm apart, so that the middle is known to
# a few mm; on a real study a right recess lay 0.2 mm beside it.
ACROSS_MM = 6.0
# Shares of the step between levels: what a condition that is a level off is away from its own
# level's others at least, and from the neighbouring level's at most.
AWAY_FROM_OWN, NEAR_THE_NEXT = 0.65, 0.35
# Steps that a point lies off the curve through the others of its condition and series: in the
# competition's tables one point of 29,000 does, and the points of much bent spines reach 1.2.
OFF_CURVE_STEPS = 1.5
# From their mean, up to which repeated points are of one place: 5 mm, as half of 10 mm apart.
REPEATED_STEPS = 0.15

_SIDES = np.array([{Side.LEFT: 1.0, Side.RIGHT: -1.0, None: 0.0}[c.side] for c in CONDITIONS])
_KINDS = np.array([("spinal", "foraminal", "subarticular").index(c.pooled) for c in CONDITIONS])
_POINT = ["study_id", "series_id", "instance_number", "condition", "level"]
_SAGITTAL = [str(c) for c in Condition if c.pooled != "subarticular"]


@dataclass(frozen=True)
class LevelGrid:
    """The placed points of n studies, a place for each condition and level.

    Attributes:
        study_ids: (n,).
        points_mm: (n, conditions, levels, 3), NaN where there is none; the first of
            repeated points.
        keys: the ids of all points, in the order of `cells`.
        cells: (points, 3), the study, condition and level that each is of.
        placed_mm: (points, 3), where each lies.
    """

    study_ids: NDArray[np.int64]
    points_mm: Floats
    keys: pl.DataFrame
    cells: NDArray[np.int64]
    placed_mm: Floats

    @classmethod
    def of(cls, annotations: pl.DataFrame, instances: pl.DataFrame) -> "LevelGrid":
        """The grid of the annotations whose image is indexed."""
        placed = place_annotations(instances, annotations)
        study_ids, study = np.unique(placed["study_id"].to_numpy(), return_inverse=True)
        condition, level = (
            placed[name].replace_strict({str(word): k for k, word in enumerate(words)}).to_numpy()
            for name, words in (("condition", CONDITIONS), ("level", LEVELS))
        )
        cells, placed_mm = (
            np.stack([study, condition, level], 1),
            placed.select("x_mm", "y_mm", "z_mm").to_numpy(),
        )
        points = np.full((len(study_ids), len(CONDITIONS), len(LEVELS), 3), np.nan)
        _, first = np.unique(cells, axis=0, return_index=True)
        points[tuple(cells[first].T)] = placed_mm[first]
        return cls(study_ids, points, placed.select(_POINT), cells, placed_mm)

    def at(self, values: Floats) -> Floats:
        """(points, ...) what there is at each point's cell, of (n, conditions, levels, ...)."""
        found: Floats = values[tuple(self.cells.T)]
        return found

    def select(self, wanted: NDArray[np.bool_], **measures: Floats) -> pl.DataFrame:
        """The ids of the points that are wanted, and what was measured of them.

        Args:
            wanted: (points,).
            measures: arrays of that shape.
        """
        columns = [pl.Series(name, values) for name, values in measures.items()]
        return self.keys.with_columns(columns).filter(pl.Series(wanted, dtype=pl.Boolean))


def conditions_a_level_off(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Conditions all of whose points in a study lie where the others put a neighbouring level.

    Returns:
        study_id, condition, levels_down: 1 where the points lie a level too low for their name.
    """
    grid = LevelGrid.of(annotations, instances)
    others = others_say(grid.points_mm)
    step = _step_mm(others)
    own = _median_apart(grid.points_mm, others)
    found = []
    for levels_down in (-1, 1):
        # The point named k is held against what the others say of the level below (or above) it.
        next_to = np.roll(others, -levels_down, axis=2)
        next_to[:, :, -1 if levels_down == 1 else 0] = np.nan
        off = (_median_apart(grid.points_mm, next_to) < NEAR_THE_NEXT * step) & (
            own > AWAY_FROM_OWN * step
        )
        found += [
            (int(grid.study_ids[study]), str(CONDITIONS[condition]), levels_down)
            for study, condition in np.argwhere(off)
        ]
    schema = {"study_id": pl.Int64, "condition": pl.String, "levels_down": pl.Int64}
    return pl.DataFrame(found, schema=schema, orient="row")


def points_far_off_their_level(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Points over 20 mm from where the other conditions put their level, or 45 mm beside it.

    Where most points of a condition lie off alike, the patient has moved between two series, or
    the condition is a level off: neither is a fault of one point, and they are not named here.

    Returns:
        ids, condition, level, away_mm (in the sagittal plane), beside_mm (towards the left).
    """
    grid = LevelGrid.of(annotations, instances)
    others = others_say(grid.points_mm)
    usual = _nanmedian(grid.points_mm - others, axis=2)[:, :, None]
    usual = grid.at(np.broadcast_to(usual, others.shape))
    apart = grid.placed_mm - grid.at(others)
    away = np.linalg.norm(apart[..., 1:], axis=-1)
    beside = grid.placed_mm[:, 0] - grid.at(middles(grid.points_mm))
    off = (away > OFF_LEVEL_MM) & (np.linalg.norm((apart - usual)[..., 1:], axis=-1) > OFF_LEVEL_MM)
    return grid.select(off | (np.abs(beside) > OFF_MIDDLE_MM), away_mm=away, beside_mm=beside)


def points_across_the_middle(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Sided points over 6 mm on the other side of a middle that two kinds of points agree on.

    Returns:
        ids, condition, level, beside_mm: from the middle, towards the patient's left.
    """
    grid = LevelGrid.of(annotations, instances)
    beside = grid.placed_mm[:, 0] - grid.at(middles(grid.points_mm))
    return grid.select(beside * _SIDES[grid.cells[:, 1]] < -ACROSS_MM, beside_mm=beside)


def points_off_their_curve(annotations: pl.DataFrame) -> pl.DataFrame:
    """Points far off the curve through those of the same condition on one sagittal series.

    Returns:
        ids, condition, level, steps: from the curve, in steps between levels.
    """
    rank = {str(level): number for number, level in enumerate(LEVELS)}
    column = pl.struct("study_id", "series_id", "condition")
    points = (
        annotations.filter(pl.col("condition").is_in(_SAGITTAL))
        .with_columns(rank=pl.col("level").replace_strict(rank, return_dtype=pl.Int64))
        .sort("study_id", "series_id", "condition", maintain_order=True)
    )
    starts = np.flatnonzero(points.select(column.rle_id()).to_series().diff().fill_null(1))
    columns = zip(
        np.split(points["rank"].to_numpy(), starts[1:]),
        np.split(points.select("x_px", "y_px").to_numpy(), starts[1:]),
        strict=True,
    )
    steps = np.concatenate([np.zeros(0), *(_off_curve(*each) for each in columns)])
    return (
        points.with_columns(pl.Series("steps", steps))
        .filter(pl.col("steps") > OFF_CURVE_STEPS)
        .select(*_POINT, "steps")
    )


def others_say(points_mm: Floats) -> Floats:
    """Where the other conditions put each condition's levels; NaN where they do not agree.

    They agree where more than half of them, of two kinds at least, lie within 15 mm of their
    median in the sagittal plane; the place is the mean of those.

    Args:
        points_mm: (n, conditions, levels, 3).

    Returns:
        The same shape.
    """
    places = np.full_like(points_mm, np.nan)
    for condition in range(len(CONDITIONS)):
        others = np.delete(points_mm, condition, axis=1)
        apart = (others - _nanmedian(others, axis=1)[:, None])[..., 1:]
        agrees = np.linalg.norm(apart, axis=-1) <= AGREEMENT_MM
        known = np.isfinite(others[..., 0]).sum(axis=1)
        kinds = np.delete(_KINDS, condition)
        several = sum(agrees[:, kinds == kind].any(axis=1).astype(int) for kind in range(3)) > 1
        sure = several & (2 * agrees.sum(axis=1) > known)
        mean = (
            np.where(agrees[..., None], others, 0.0).sum(axis=1)
            / np.maximum(agrees.sum(axis=1), 1)[..., None]
        )
        places[:, condition] = np.where(sure[..., None], mean, np.nan)
    return places


def middles(points_mm: Floats) -> Floats:
    """Where the patient's middle is in x, as the two other kinds of points agree to show it.

    Args:
        points_mm: (n, conditions, levels, 3).

    Returns:
        (n, conditions, levels) in mm, NaN where they do not agree or one of them is missing.
    """
    x = points_mm[..., 0]
    of_kind = [np.flatnonzero(np.equal(_KINDS, kind)) for kind in range(3)]
    shown = np.stack([x[:, conditions].mean(axis=1) for conditions in of_kind], axis=1)
    between = np.full_like(x, np.nan)
    for condition, kind in enumerate(_KINDS):
        one, other = np.delete(shown, kind, axis=1).swapaxes(0, 1)
        agree = np.abs(one - other) <= MIDDLES_AGREE_MM
        between[:, condition] = np.where(agree, (one + other) / 2, np.nan)
    return between


def _step_mm(places: Floats) -> Floats:
    """(n, conditions) the usual distance from a level to the next."""
    return _nanmedian(np.linalg.norm(np.diff(places, axis=2)[..., 1:], axis=-1), axis=2)


def _median_apart(points_mm: Floats, places: Floats) -> Floats:
    """(n, conditions) how far points lie from places; NaN where fewer than 3 can be compared."""
    apart = np.linalg.norm((points_mm - places)[..., 1:], axis=-1)
    enough = np.isfinite(apart).sum(axis=2) >= 3
    return np.where(enough, _nanmedian(apart, axis=2), np.nan)


def _off_curve(rank: NDArray[np.int64], pixels: Floats) -> Floats:
    """How many steps the level without which the others lie best lies off their curve; others 0.

    The curve is a parabola through four others or a line through three; fewer show none. Of
    repeated points their mean counts, and those that lie apart are another matter.
    """
    levels, which = np.unique(rank, return_inverse=True)
    steps = np.zeros(len(rank))
    if len(levels) < 4:
        return steps
    means = np.stack([pixels[which == n].mean(axis=0) for n in range(len(levels))])
    step = np.median(np.linalg.norm(np.diff(means, axis=0), axis=1) / np.diff(levels))
    if np.linalg.norm(pixels - means[which], axis=1).max() > REPEATED_STEPS * step:
        return steps
    expected, unfitting = _curves_of_others(tuple(levels))
    odd = np.linalg.norm(unfitting @ means, axis=(1, 2)).argmin()
    steps[which == odd] = np.linalg.norm(means[odd] - expected[odd] @ means) / step
    return steps


@lru_cache
def _curves_of_others(rank: tuple[int, ...]) -> tuple[Floats, Floats]:
    """For each of n points the curve through the others, as factors of all points' values.

    Returns:
        What it expects at the point: (n, n); how far the others lie off it: (n, n - 1, n).
    """
    powers = np.vander(np.array(rank, dtype=np.float64), 3 if len(rank) > 4 else 2)
    everyone = np.eye(len(rank))
    expected, unfitting = [], []
    for point in range(len(rank)):
        others = np.arange(len(rank)) != point
        curve = np.linalg.pinv(powers[others]) @ everyone[others]
        expected.append(powers[point] @ curve)
        unfitting.append(everyone[others] - powers[others] @ curve)
    return np.stack(expected), np.stack(unfitting)


def _nanmedian(values: Floats, axis: int) -> Floats:
    """The median of what is finite; NaN, without a warning, where nothing is."""
    ordered = np.sort(values, axis=axis)  # NaN last
    known = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low, high = (np.maximum(known - 1, 0) // 2, known // 2)
    high = np.minimum(high, np.maximum(known - 1, 0))
    both = [np.take_along_axis(ordered, index, axis=axis) for index in (low, high)]
    return np.squeeze((both[0] + both[1]) / 2, axis=axis)
