"""Check annotated points against the study's other points at the same level.

A point is compared with the points of the other conditions at its level, in mm, where those agree
among themselves; so one wrong point implicates only itself. Distances are measured in the
sagittal plane, since conditions lie side by side. Where no image has a position, one check
remains: a point against those of its own condition on one sagittal series, in steps between
levels, which need no pixel spacing.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.columns import LEVEL_NUMBER
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side

Floats = NDArray[np.float64]

# Lumbar discs are 30 to 40 mm apart: a point farther than this from its level's other points
# is nearer to a neighbouring level.
OFF_LEVEL_MM = 20.0
# Foramina lie 5 to 10 mm above their disc, and in front of canal and recesses.
AGREEMENT_MM = 15.0
# Lateral distance from the midline: foramina lie 15 to 25 mm from it.
OFF_MIDDLE_MM = 45.0
# Midlines that two kinds of points give for a level agree if they differ by no more than this.
MIDDLES_AGREE_MM = 10.0
# Canal and foraminal points lie on sagittal slices 4 to 6 mm apart, so the midline is known to
# a few mm; in one real study a right recess lay 0.2 mm from it.
ACROSS_MM = 6.0
# Fractions of the step between levels: the least distance of a condition that is a level off
# from its own level, and its greatest distance from the neighbouring level.
AWAY_FROM_OWN, NEAR_THE_NEXT = 0.65, 0.35
# Steps between a point and the curve through the others of its condition and series: in the
# competition's tables one point of 29,000 exceeds it; strongly bent spines reach 1.2.
OFF_CURVE_STEPS = 1.5
# Distance from their mean up to which repeated points share a place: 5 mm, half of 10 mm.
REPEATED_STEPS = 0.15

_SIDES = np.array([{Side.LEFT: 1.0, Side.RIGHT: -1.0, None: 0.0}[c.side] for c in CONDITIONS])
_KINDS = np.array([("spinal", "foraminal", "subarticular").index(c.pooled) for c in CONDITIONS])
_POINT = ["study_id", "series_id", "instance_number", "condition", "level"]
_SAGITTAL = [str(c) for c in Condition if c.pooled != "subarticular"]


@dataclass(frozen=True)
class LevelGrid:
    """The placed points of n studies, with one place per condition and level.

    Attributes:
        study_ids: (n,), the ids of the studies.
        points_mm: (n, conditions, levels, 3), NaN where there is no point; the first of repeated
            points.
        keys: the ids of all points, in the order of `cells`.
        cells: (points, 3), the study, condition and level of each point, as indices.
        placed_mm: (points, 3), the position of each point.
    """

    study_ids: NDArray[np.int64]
    points_mm: Floats
    keys: pl.DataFrame
    cells: NDArray[np.int64]
    placed_mm: Floats

    @classmethod
    def of(cls, annotations: pl.DataFrame, instances: pl.DataFrame) -> "LevelGrid":
        """Build the grid of the annotations whose image is indexed."""
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
        """Return (points, ...), the values (n, conditions, levels, ...) at each point's cell."""
        found: Floats = values[tuple(self.cells.T)]
        return found

    def select(self, wanted: NDArray[np.bool_], **measures: Floats) -> pl.DataFrame:
        """Return the ids of selected points, with their measurements.

        Args:
            wanted: (points,), whether to select each point.
            measures: (points,) arrays, by column name.
        """
        columns = [pl.Series(name, values) for name, values in measures.items()]
        return self.keys.with_columns(columns).filter(pl.Series(wanted, dtype=pl.Boolean))


def conditions_a_level_off(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Find conditions with all points of a study at a neighbouring level of the other conditions.

    Returns:
        study_id, condition, levels_down: 1 if the points lie a level lower than named, else -1.
    """
    grid = LevelGrid.of(annotations, instances)
    others = positions_by_others(grid.points_mm)
    step = _step_mm(others)
    own = _median_apart(grid.points_mm, others)
    found = []
    for levels_down in (-1, 1):
        # Compare each point with the others' position of the level below (or above) its own.
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
    """Find points over 20 mm from where the other conditions place their level, or 45 mm lateral.

    If most points of a condition are off alike, the patient has moved between two series, or the
    condition is a level off; neither is an error of one point, so these are not listed.

    Returns:
        ids, condition, level, away_mm (in the sagittal plane), beside_mm (positive to the left).
    """
    grid = LevelGrid.of(annotations, instances)
    others = positions_by_others(grid.points_mm)
    usual = _nanmedian(grid.points_mm - others, axis=2)[:, :, None]
    usual = grid.at(np.broadcast_to(usual, others.shape))
    apart = grid.placed_mm - grid.at(others)
    away = np.linalg.norm(apart[..., 1:], axis=-1)
    beside = grid.placed_mm[:, 0] - grid.at(middles(grid.points_mm))
    off = (away > OFF_LEVEL_MM) & (np.linalg.norm((apart - usual)[..., 1:], axis=-1) > OFF_LEVEL_MM)
    return grid.select(off | (np.abs(beside) > OFF_MIDDLE_MM), away_mm=away, beside_mm=beside)


def points_across_the_middle(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Find sided points over 6 mm across a midline that two kinds of points agree on.

    Returns:
        ids, condition, level, beside_mm: from the midline, positive towards the patient's left.
    """
    grid = LevelGrid.of(annotations, instances)
    beside = grid.placed_mm[:, 0] - grid.at(middles(grid.points_mm))
    return grid.select(beside * _SIDES[grid.cells[:, 1]] < -ACROSS_MM, beside_mm=beside)


def points_off_their_curve(annotations: pl.DataFrame) -> pl.DataFrame:
    """Find points far from the curve through those of the same condition on one sagittal series.

    Returns:
        ids, condition, level, steps: the distance from the curve, in steps between levels.
    """
    column = pl.struct("study_id", "series_id", "condition")
    points = (
        annotations.filter(pl.col("condition").is_in(_SAGITTAL))
        .with_columns(rank=LEVEL_NUMBER)
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


def positions_by_others(points_mm: Floats) -> Floats:
    """Return where the other conditions place each condition's levels; NaN if they disagree.

    They agree if more than half of them, of at least two kinds, lie within 15 mm of their median
    in the sagittal plane; the result is the mean of those.

    Args:
        points_mm: (n, conditions, levels, 3).

    Returns:
        An array of the same shape.
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
    """Return the x of the patient's midline, where the two other kinds of points agree on it.

    Args:
        points_mm: (n, conditions, levels, 3).

    Returns:
        (n, conditions, levels) in mm, NaN where they disagree or one of them is missing.
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
    """Return (n, conditions), the median distance between adjacent levels."""
    return _nanmedian(np.linalg.norm(np.diff(places, axis=2)[..., 1:], axis=-1), axis=2)


def _median_apart(points_mm: Floats, places: Floats) -> Floats:
    """Return (n, conditions), the median distance of points from places; NaN if fewer than 3."""
    apart = np.linalg.norm((points_mm - places)[..., 1:], axis=-1)
    enough = np.isfinite(apart).sum(axis=2) >= 3
    return np.where(enough, _nanmedian(apart, axis=2), np.nan)


def _off_curve(rank: NDArray[np.int64], pixels: Floats) -> Floats:
    """Return by how many steps the least fitting level is off the others' curve; 0 for others.

    That level is the one without which the others fit best. The curve is a parabola through at
    least four others or a line through three; fewer give no result. Repeated points count by their
    mean; if they lie apart, the result is 0.
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
    """For each of n points, fit a curve through the others, as factors of all points' values.

    Returns:
        The prediction at the point: (n, n); the residuals of the others: (n, n - 1, n).
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
    """Return the median of finite values; NaN, without a warning, if there are none."""
    ordered = np.sort(values, axis=axis)  # NaN last
    known = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low, high = (np.maximum(known - 1, 0) // 2, known // 2)
    high = np.minimum(high, np.maximum(known - 1, 0))
    both = [np.take_along_axis(ordered, index, axis=axis) for index in (low, high)]
    return np.squeeze((both[0] + both[1]) / 2, axis=axis)
