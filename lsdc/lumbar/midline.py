"""The midline: where canal points lie across the sagittal slice that they were annotated on.

A canal point is exact on its slice and says nothing of how far beside it the canal's middle lies:
in 78 % of the competition's T2 series all five levels are marked on one slice, though spines lean
and bend. The subarticular points of a level are exact within their axial slices, which cross the
sagittal one, and the canal lies in the middle between them.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.lumbar.places import planes_of
from lsdc.lumbar.vocabulary import Condition

Floats = NDArray[np.float64]

# Half a canal's width and more: farther beside its slice, one of the three points is wrong.
FARTHEST_MM = 8.0
# Left and right count as one plane's where their slices are parallel, and help where that plane
# crosses the sagittal slice well.
_PARALLEL_DEGREES = 5.0
_CROSSING_DEGREES = 45.0

_INSTANCE = ["study_id", "series_id", "instance_number"]
_LEVEL = ["study_id", "level"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
_SIDES = (Condition.LEFT_SUBARTICULAR_STENOSIS, Condition.RIGHT_SUBARTICULAR_STENOSIS)


def centre_on_midline(places: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Move canal points across their slices to the middle between the subarticular points.

    On the slice they stay where they are. A level without both subarticular points keeps its canal
    point, as does one where they contradict it by more than FARTHEST_MM.

    Args:
        places: as `place_annotations` returns.
        instances: the instances table.

    Returns: `places` with the canal's x_mm, y_mm, z_mm changed.
    """
    images = instances.unique(_INSTANCE, keep="first", maintain_order=True)
    planes = planes_of(places.join(images, on=_INSTANCE, how="left", maintain_order="left"))
    numbered = places.select(*_LEVEL, "condition", row=pl.int_range(pl.len()))
    canal = numbered.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    for condition in _SIDES:
        side = numbered.filter(condition=str(condition)).unique(_LEVEL, keep="first")
        canal = canal.join(
            side.select(*_LEVEL, pl.col("row").alias(str(condition))), on=_LEVEL, how="inner"
        )
    rows, left, right = (canal[name].to_numpy() for name in ("row", *map(str, _SIDES)))
    points, normals = places.select(_XYZ).to_numpy().copy(), planes.normal
    points[rows] += _to_midline(points, normals, rows, left, right)[:, None] * normals[rows]
    return places.with_columns(pl.Series(name, points[:, i]) for i, name in enumerate(_XYZ))


def _to_midline(
    points: Floats,
    normals: Floats,
    canal: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> Floats:
    """(n,) steps in mm along the canal slices' normals; 0 where nothing can be said.

    Only what lies within the axial slice is looked at: across it, the subarticular points are as
    uncertain as the canal's across its own.
    """
    axial = normals[left]
    across = points[left] - points[right]
    across -= np.sum(across * axial, axis=1, keepdims=True) * axial
    length = np.linalg.norm(across, axis=1)
    across /= np.where(length > 0, length, 1.0)[:, None]
    crossing = np.sum(across * normals[canal], axis=1)
    beside = np.sum(((points[left] + points[right]) / 2 - points[canal]) * across, axis=1)
    parallel = np.abs(np.sum(axial * normals[right], axis=1))
    known = (np.abs(crossing) >= np.cos(np.radians(_CROSSING_DEGREES))) & (
        parallel >= np.cos(np.radians(_PARALLEL_DEGREES))
    )
    step = beside / np.where(known, crossing, 1.0)
    return np.where(known & (np.abs(step) <= FARTHEST_MM), step, 0.0)
