"""Level planes: the tilt of a level's disc, estimated from the spine's course at the level."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.columns import LEVEL_NUMBER

Floats = NDArray[np.float64]

_HEAD = np.array([0.0, 0.0, 1.0])
_AXES = ("x_mm", "y_mm", "z_mm")


def level_normals(points: pl.DataFrame) -> pl.DataFrame:
    """Return the normal of each level's plane: along the spine, towards the head.

    Args:
        points: study_id, level, x_mm, y_mm, z_mm (LPS); each level at most once per study.

    Returns:
        study_id, level, normal_x, normal_y, normal_z (unit vectors), in the order of `points`.
    """
    ordered = (
        points.with_row_index("row").with_columns(number=LEVEL_NUMBER).sort("study_id", "number")
    )
    place = ordered.select(_AXES).to_numpy()
    normals = np.empty_like(place)
    ends = np.flatnonzero(np.diff(ordered["study_id"].to_numpy())) + 1
    for study in np.split(np.arange(len(place)), ends):
        normals[study] = spine_directions(place[study])
    return (
        ordered.select(
            "row",
            "study_id",
            "level",
            *(pl.Series(f"normal_{axis}", normals[:, number]) for number, axis in enumerate("xyz")),
        )
        .sort("row")
        .drop("row")
    )


def spine_directions(points_mm: Floats) -> Floats:
    """Return the spine's direction at each of its points.

    It is the slope of the parabola through a point and its two neighbours; the first and the last
    point use the parabola of their neighbour, since the spine bends most at the sacrum.

    Args:
        points_mm: (n, 3), from top to bottom.

    Returns:
        (n, 3) unit vectors towards the head; straight up for a single point.
    """
    if len(points_mm) < 2:
        return np.broadcast_to(_HEAD, points_mm.shape)
    steps = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    down = np.gradient(points_mm, along, axis=0, edge_order=2 if len(points_mm) > 2 else 1)
    up: Floats = -down / np.linalg.norm(down, axis=1)[:, None]
    return up
