"""Find contradicting repeated points, before repeated points are averaged.

Points of one cell (study, condition and level) over 10 mm apart cannot all be correct. The place
that the condition's other levels and the level's other conditions support is kept, if they
support only one; otherwise all the points are dropped.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.columns import LEVEL_NUMBER
from lsdc.challenges.lumbar.quality.level_agreement import LevelGrid, positions_by_others
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, SeriesDescription

Floats = NDArray[np.float64]

# Points of one cell farther apart than this mark different places.
APART_MM = 10.0
# Tolerance around a point's expected place: foramina lie above their disc, spines bend.
FITS_MM = 15.0
# Between adjacent levels; the scale of pixel distances where no image has a position.
STEP_MM = 35.0

_CELL = ["study_id", "condition", "level"]
_SERIES = ["study_id", "series_id"]
_INSTANCE = [*_SERIES, "instance_number"]
_XYZ = ["x_mm", "y_mm", "z_mm"]


def repeats_to_leave_out(
    points: pl.DataFrame, listed: pl.DataFrame, instances: pl.DataFrame | None
) -> pl.DataFrame:
    """Return the points of contradicting cells that have no support.

    Args:
        points: annotations with a unique number `row`.
        listed: the competition's table of series.
        instances: the instances of the same split; None compares by pixels on one sagittal series.

    Returns:
        Rows of `points`.
    """
    if not points.select(_CELL).is_duplicated().any():
        return points.clear()
    if instances is None:
        placed = _placed_by_pixels(points, listed)
    else:
        images = instances.unique(_INSTANCE, keep="first", maintain_order=True)
        on_images = points.join(images, on=_INSTANCE, how="inner", maintain_order="left")
        mm = planes_of(on_images).to_mm(on_images.select("x_px", "y_px").to_numpy())
        placed = on_images.select(
            "row", *_CELL, *(pl.Series(n, mm[:, k]) for k, n in enumerate(_XYZ))
        )
    repeated = placed.filter(pl.len().over(_CELL) > 1)
    apart = [
        cell
        for _, cell in repeated.group_by(_CELL, maintain_order=True)
        if _spread(cell.select(_XYZ).to_numpy()) > APART_MM
    ]
    if not apart:
        return points.clear()
    contradicting = pl.concat(apart)
    sure = placed.join(contradicting, on=_CELL, how="anti", maintain_order="left")
    sure = sure.join(contradicting, on="study_id", how="semi", maintain_order="left")
    others = _others_of(points.join(sure, on="row", how="semi"), instances)
    lost: list[int] = []
    for cell in apart:
        study, condition, level = cell.select(_CELL).row(0)
        own = sure.filter(study_id=study, condition=condition)
        off = _misfit(cell, own, others.get((study, condition, level)))
        lost += cell["row"].filter(pl.Series(~_kept(cell.select(_XYZ).to_numpy(), off))).to_list()
    return points.filter(pl.col("row").is_in(lost))


def _placed_by_pixels(points: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Place points of sagittal series by pixels, scaled so that a step between levels is `STEP_MM`.

    If a condition is on several series, only the one with its most levels is used.
    """
    sagittal = listed.filter(pl.col("series_description") != str(SeriesDescription.AXIAL_T2))
    column = [*_SERIES, "condition"]
    own = points.join(sagittal, on=_SERIES, how="semi", maintain_order="left").with_columns(
        rank=LEVEL_NUMBER
    )
    heights = own.group_by(*column, "rank").agg(pl.col("y_px").median()).sort(*column, "rank")
    step = (pl.col("y_px").diff() / pl.col("rank").diff()).median()
    steps = (
        heights.group_by(column).agg(step_px=step, levels=pl.len()).filter(pl.col("step_px") > 0)
    )
    most = steps.sort("levels", "series_id", descending=[True, False]).unique(
        ["study_id", "condition"], keep="first", maintain_order=True
    )
    scale = STEP_MM / pl.col("step_px")
    return own.join(most, on=column, how="inner", maintain_order="left").select(
        "row",
        *_CELL,
        x_mm=pl.lit(0.0),
        y_mm=pl.col("x_px") * scale,
        z_mm=-pl.col("y_px") * scale,
    )


def _others_of(sure: pl.DataFrame, instances: pl.DataFrame | None) -> dict[tuple[Any, ...], Floats]:
    """Return where the other conditions place the cells of these studies, if they agree."""
    if instances is None or sure.is_empty():
        return {}
    grid = LevelGrid.of(sure, instances)
    positions = positions_by_others(grid.points_mm)
    return {
        (study, str(condition), str(level)): positions[n, c, k]
        for n, study in enumerate(grid.study_ids.tolist())
        for c, condition in enumerate(CONDITIONS)
        for k, level in enumerate(LEVELS)
        if np.isfinite(positions[n, c, k]).all()
    }


def _misfit(cell: pl.DataFrame, own: pl.DataFrame, others: Floats | None) -> Floats:
    """Return (n,), each point's greatest distance from its expected places; inf if none."""
    places = cell.select(_XYZ).to_numpy()
    off = [np.linalg.norm((places - others)[:, 1:], axis=1)] if others is not None else []
    ranks = own.select(LEVEL_NUMBER).to_series().to_numpy()
    if len(np.unique(ranks)) > 1:
        rank = cell.select(LEVEL_NUMBER).item(0, 0)
        powers = 3 if len(np.unique(ranks)) > 3 else 2
        curve, *_ = np.linalg.lstsq(np.vander(ranks, powers), own.select(_XYZ).to_numpy())
        off.append(np.linalg.norm(places - np.vander([rank], powers) @ curve, axis=1))
    return np.max(off, axis=0) if off else np.full(len(places), np.inf)


def _kept(places: Floats, off: Floats) -> NDArray[np.bool_]:
    """Select the points near the best fitting one, unless points farther away fit as well."""
    best = int(off.argmin())
    near: NDArray[np.bool_] = np.linalg.norm(places - places[best], axis=1) <= APART_MM
    if off[best] > FITS_MM or (off[~near] <= FITS_MM).any():
        return np.zeros(len(places), dtype=bool)
    return near


def _spread(places: Floats) -> float:
    return float(np.linalg.norm(places[:, None] - places, axis=2).max())
