"""Image planes in patient space: LPS, millimetres, origins at the centre of the first voxel.

+x points to the patient's left, +y to the back, +z to the head. A pixel is (x_px, y_px) =
(column, row), with voxel centres at integers. All functions are vectorised over slices: plane i is
paired with point i, or with row i of an array of points. A single plane broadcasts over all points.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lsdc.errors import DataError

FloatArray = npt.NDArray[np.float64]

# Files round their direction cosines, some to three digits; larger deviations are refused.
UNIT_LENGTH_TOLERANCE = 0.01
RIGHT_ANGLE_TOLERANCE = 0.01
# Orientations in one stack differ only by rounding. Those of stacks that are angled to neighbouring
# discs differ by several degrees.
ORIENTATION_TOLERANCE_DEGREES = 0.5


@dataclass(frozen=True)
class Planes:
    """The planes of n slices.

    Attributes:
        origin_mm: (n, 3), the centre of pixel (0, 0).
        row_direction: (n, 3), unit vector in the direction of increasing x_px.
        column_direction: (n, 3), unit vector in the direction of increasing y_px, perpendicular to
            row_direction.
        spacing_mm: (n, 2), (row spacing, column spacing) as in DICOM: the step in y_px first.
    """

    origin_mm: FloatArray
    row_direction: FloatArray
    column_direction: FloatArray
    spacing_mm: FloatArray

    @classmethod
    def from_dicom(
        cls, position: npt.ArrayLike, orientation: npt.ArrayLike, pixel_spacing: npt.ArrayLike
    ) -> Self:
        """Create the planes of n slices from the Image Plane Module (PS3.3 C.7.6.2.1.1, 10.7.1.3).

        Args:
            position: (n, 3) ImagePositionPatient.
            orientation: (n, 6) ImageOrientationPatient; rounded cosines are made orthonormal.
            pixel_spacing: (n, 2) PixelSpacing.

        Raises:
            DataError: a shape, a direction or a spacing is invalid for an image.
        """
        position_mm = _rows("ImagePositionPatient", position, 3)
        spacing_mm = _rows("PixelSpacing", pixel_spacing, 2)
        row_direction, column_direction = _directions(orientation)
        if not len(position_mm) == len(spacing_mm) == len(row_direction):
            raise DataError(
                f"image planes: {len(position_mm)} positions, {len(row_direction)} orientations "
                f"and {len(spacing_mm)} spacings, expected equal numbers; pass one row per slice"
            )
        _refuse("PixelSpacing", spacing_mm, (spacing_mm <= 0).any(axis=1), "two values above 0 mm")
        return cls(position_mm, row_direction, column_direction, spacing_mm)

    @property
    def normal(self) -> FloatArray:
        """(n, 3), unit vectors: row_direction x column_direction."""
        return np.cross(self.row_direction, self.column_direction)

    def to_mm(self, pixels: npt.ArrayLike) -> FloatArray:
        """Return patient positions of pixels (PS3.3 equation C.7.6.2.1-1).

        Args:
            pixels: (n, ..., 2), (x_px, y_px); fractional and outside positions are allowed.

        Returns:
            (n, ..., 3) in mm.

        >>> sagittal = Planes.from_dicom([[12, -100, 80]], [[0, 1, 0, 0, 0, -1]], [[0.5, 0.5]])
        >>> sagittal.to_mm([[200, 100]]).tolist()
        [[12.0, 0.0, 30.0]]
        """
        pixels = np.asarray(pixels, dtype=np.float64)
        origin, row, column, spacing = self._expanded_for(pixels)
        along_row = pixels[..., :1] * spacing[..., 1:]
        along_column = pixels[..., 1:] * spacing[..., :1]
        return origin + along_row * row + along_column * column

    def to_pixel(self, points_mm: npt.ArrayLike) -> FloatArray:
        """Return the pixels of points projected onto the plane along its normal.

        Args:
            points_mm: (n, ..., 3) in mm.

        Returns:
            (n, ..., 2), (x_px, y_px), not rounded; they may lie outside the image.
        """
        points_mm = np.asarray(points_mm, dtype=np.float64)
        origin, row, column, spacing = self._expanded_for(points_mm)
        offset = points_mm - origin
        x_px = _dot(offset, row) / spacing[..., 1]
        y_px = _dot(offset, column) / spacing[..., 0]
        return np.stack([x_px, y_px], axis=-1)

    def signed_distance(self, points_mm: npt.ArrayLike) -> FloatArray:
        """Return signed distances of points from the planes in mm, positive along the normal.

        Args:
            points_mm: (n, ..., 3) in mm.

        Returns:
            (n, ...).

        >>> sagittal = Planes.from_dicom([[12, -100, 80]], [[0, 1, 0, 0, 0, -1]], [[0.5, 0.5]])
        >>> sagittal.normal.tolist(), sagittal.signed_distance([[40, 0, 30]]).tolist()
        ([[-1.0, 0.0, 0.0]], [-28.0])
        """
        points_mm = np.asarray(points_mm, dtype=np.float64)
        origin, row, column, _ = self._expanded_for(points_mm)
        return _dot(points_mm - origin, np.cross(row, column))

    def _expanded_for(self, values: FloatArray) -> tuple[FloatArray, ...]:
        """Return the planes' arrays with new axes, to broadcast with `values` (n, ..., k)."""
        between = tuple(range(1, values.ndim - 1))
        arrays = (self.origin_mm, self.row_direction, self.column_direction, self.spacing_mm)
        return tuple(np.expand_dims(array, between) for array in arrays)


def orientation_groups(
    orientations: npt.ArrayLike,
    tolerance_degrees: float = ORIENTATION_TOLERANCE_DEGREES,
    *,
    series: npt.ArrayLike | None = None,
) -> npt.NDArray[np.int32]:
    """Group the slices of each series by orientation.

    Each slice is compared with the first slice of each group. It joins the first group for which
    the row direction and the column direction both differ by at most the tolerance.

    Args:
        orientations: (n, 6) ImageOrientationPatient.
        tolerance_degrees: the largest angle to the directions of a group's first slice.
        series: (n,) series of each slice, of any type; by default all slices are one series.

    Returns:
        (n,) numbers of the groups, 0, 1, ... in each series in the order of first appearance.

    Raises:
        DataError: a row is not a pair of perpendicular directions.

    >>> flat, leaning = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0.8, -0.6]
    >>> orientation_groups([flat, leaning, flat]).tolist()
    [0, 1, 0]
    """
    cosines = _rows("ImageOrientationPatient", orientations, 6)
    series_code = _codes(series, len(cosines))
    starts, block_of_slice = _equal_blocks(np.column_stack([series_code, cosines]))
    row, column = _directions(cosines[starts])
    series_code = series_code[starts]
    groups = np.full(len(row), -1, dtype=np.int32)
    tolerance = np.radians(tolerance_degrees)
    firsts = np.zeros(series_code.max(initial=-1) + 1, dtype=np.intp)
    group = 0
    while len(left := np.flatnonzero(groups < 0)):
        firsts[series_code[left[::-1]]] = left[::-1]  # the earliest is written last
        first = firsts[series_code[left]]
        turn = np.maximum(_angle(row[left], row[first]), _angle(column[left], column[first]))
        groups[left[(turn <= tolerance) | (left == first)]] = group
        group += 1
    return groups[block_of_slice]


def normal_positions(
    positions: npt.ArrayLike, orientations: npt.ArrayLike, *, groups: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the positions in mm of slices along the mean normal of their orientation group.

    Args:
        positions: (n, 3) ImagePositionPatient.
        orientations: (n, 6) ImageOrientationPatient.
        groups: (n,) group of each slice, of any type; by default all slices are one group.

    Returns:
        (n,) in mm. Differences within a group are distances between slices; 0 is at the origin of
        the patient coordinate system.

    Raises:
        DataError: a row is not a position, or not a pair of perpendicular directions.

    >>> normal_positions([[5, 5, 0], [9, 9, 4]], [[1, 0, 0, 0, 1, 0]] * 2).tolist()
    [0.0, 4.0]
    """
    position_mm = _rows("ImagePositionPatient", positions, 3)
    cosines = _rows("ImageOrientationPatient", orientations, 6)
    group_code = _codes(groups, len(position_mm))
    starts, block_of_slice = _equal_blocks(cosines)
    normals = np.cross(*_directions(cosines[starts]))[block_of_slice]
    sums = [np.bincount(group_code, weights=axis).astype(np.float64) for axis in normals.T]
    mean: FloatArray = np.stack(sums, axis=1)
    return _dot(position_mm, (mean / _length(mean)[:, None])[group_code])


def _codes(labels: npt.ArrayLike | None, count: int) -> npt.NDArray[np.intp]:
    """Return (count,) integers, equal where the labels are equal; 0 without labels."""
    if labels is None:
        return np.zeros(count, dtype=np.intp)
    codes: npt.NDArray[np.intp] = np.unique(np.asarray(labels), return_inverse=True)[1]
    return codes


def _equal_blocks(rows: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first row of each block of equal consecutive rows, and (n,) the row's block."""
    starts = np.ones(len(rows), dtype=bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return np.flatnonzero(starts), np.cumsum(starts) - 1


def _directions(orientation: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return row and column directions, each (n, 3), made exactly orthonormal."""
    cosines = _rows("ImageOrientationPatient", orientation, 6)
    row, column = cosines[:, :3], cosines[:, 3:]
    bad = (
        (np.abs(_length(row) - 1) > UNIT_LENGTH_TOLERANCE)
        | (np.abs(_length(column) - 1) > UNIT_LENGTH_TOLERANCE)
        | (np.abs(_dot(row, column)) > RIGHT_ANGLE_TOLERANCE)
    )
    _refuse("ImageOrientationPatient", cosines, bad, "two perpendicular unit vectors")
    row = row / _length(row)[:, None]
    column = column - _dot(row, column)[:, None] * row
    return row, column / _length(column)[:, None]


def _rows(name: str, values: npt.ArrayLike, width: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != width:
        raise DataError(
            f"image planes: {name} has shape {array.shape}, expected (n, {width}); "
            "pass one row per slice"
        )
    _refuse(name, array, ~np.isfinite(array).all(axis=1), "finite numbers")
    return array


def _refuse(name: str, rows: FloatArray, bad: npt.ArrayLike, expected: str) -> None:
    if np.any(bad):
        first = int(np.argmax(bad))
        raise DataError(
            f"image planes: {name} of slice {first} of {len(rows)} is {rows[first].tolist()}, "
            f"expected {expected}; exclude such files"
        )


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    product: FloatArray = np.sum(a * b, axis=-1)
    return product


def _length(vectors: FloatArray) -> FloatArray:
    length: FloatArray = np.linalg.norm(vectors, axis=-1)
    return length


def _angle(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the angles between unit vectors in radians.

    They are computed from the chord length, because arccos is inaccurate for small angles.
    """
    angle: FloatArray = 2 * np.arcsin(np.clip(_length(one - other) / 2, 0, 1))
    return angle
