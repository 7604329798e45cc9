"""Midline: correct annotated canal points in the direction across their sagittal slice.

A canal point is exact within its slice but does not show how far the canal's middle is from the
slice: in 78 % of the competition's T2 series all five levels are marked on one slice, though spines
lean and bend. The subarticular points of a level are exact within their axial slices, which cross
the sagittal one, and the canal is midway between them. It is midway between the foramina as well,
but each foramen, like the canal, is only known to half a slice distance.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.vocabulary import Condition

Floats = NDArray[np.float64]

# More than half a canal's width: with a larger correction, one of the three points is wrong.
FARTHEST_MM = 8.0
# Left and right points are used if their slices are parallel (within the first angle) and the line
# between them is close to the sagittal slice's normal (within the second).
_PARALLEL_DEGREES = 5.0
_CROSSING_DEGREES = 45.0
# The midpoint of two foramina and the canal's own slice are about equally uncertain.
_SHARE_OF_FORAMINA = 0.5

_INSTANCE = ["study_id", "series_id", "instance_number"]
_LEVEL = ["study_id", "level"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
_ZONES = (Condition.LEFT_SUBARTICULAR_STENOSIS, Condition.RIGHT_SUBARTICULAR_STENOSIS)
_FORAMINA = (
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
)


def centre_on_midline(places: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Move canal points across their slices to the midpoint of the subarticular points.

    Their position within the slice does not change. Without both subarticular points, the canal
    point moves half of the way to the midpoint of the foramina. It stays where it is if the
    foramina are missing too, or if the correction would exceed FARTHEST_MM.

    Args:
        places: the placed annotations, as `place_annotations` returns them.
        instances: the instances table.

    Returns: `places` with the canal's x_mm, y_mm, z_mm changed.
    """
    images = instances.unique(_INSTANCE, keep="first", maintain_order=True)
    planes = planes_of(places.join(images, on=_INSTANCE, how="left", maintain_order="left"))
    points, normals = places.select(_XYZ).to_numpy().copy(), planes.normal
    zones, foramina = _beside_canal(places, _ZONES), _beside_canal(places, _FORAMINA)
    foramina = foramina[~np.isin(foramina[:, 0], zones[:, 0])]
    steps = np.zeros(len(points))
    steps[foramina[:, 0]] = _SHARE_OF_FORAMINA * _to_middle(points, normals, foramina)
    steps[zones[:, 0]] = _to_middle(points, normals, zones, within=normals[zones[:, 1]])
    points += steps[:, None] * normals
    return places.with_columns(pl.Series(name, points[:, i]) for i, name in enumerate(_XYZ))


def _beside_canal(places: pl.DataFrame, sides: tuple[Condition, Condition]) -> NDArray[np.int64]:
    """Return row numbers (n, 3) of canal, left and right points of levels that have all three."""
    numbered = places.select(*_LEVEL, "condition", row=pl.int_range(pl.len()))
    canal = numbered.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    for condition in sides:
        side = numbered.filter(condition=str(condition)).unique(_LEVEL, keep="first")
        canal = canal.join(
            side.select(*_LEVEL, pl.col("row").alias(str(condition))), on=_LEVEL, how="inner"
        )
    return canal.select("row", *map(str, sides)).to_numpy()


def _to_middle(
    points: Floats,
    normals: Floats,
    rows: NDArray[np.int64],
    *,
    within: Floats | None = None,
) -> Floats:
    """Return steps (n,) in mm along the canal slices' normals; 0 where the middle is unknown.

    `rows` (n, 3) are the row numbers of the canal, left and right points. `within`, the normals
    (n, 3) of the slices of the left and right points, removes the component across those slices,
    in which these points are as uncertain as the canal point is across its own.
    """
    canal, left, right = rows.T
    across = points[left] - points[right]
    if within is not None:
        across -= np.sum(across * within, axis=1, keepdims=True) * within
    length = np.linalg.norm(across, axis=1)
    across /= np.where(length > 0, length, 1.0)[:, None]
    crossing = np.sum(across * normals[canal], axis=1)
    beside = np.sum(((points[left] + points[right]) / 2 - points[canal]) * across, axis=1)
    parallel = np.abs(np.sum(normals[left] * normals[right], axis=1))
    known = (np.abs(crossing) >= np.cos(np.radians(_CROSSING_DEGREES))) & (
        parallel >= np.cos(np.radians(_PARALLEL_DEGREES))
    )
    step = beside / np.where(known, crossing, 1.0)
    return np.where(known & (np.abs(step) <= FARTHEST_MM), step, 0.0)
