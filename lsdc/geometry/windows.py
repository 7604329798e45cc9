"""Windows: rectangular parts of images, with a size in mm and pixels of their own.

A window lies in the plane of its image and is a plane itself. So the conversions of planes (pixel
to mm and back) apply to crops, and an affine map converts a crop's pixels to the image's.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lsdc.errors import DataError
from lsdc.geometry.planes import FloatArray, Planes

# A direction this close to the normal (by cosine) has no usable component in the plane.
_ACROSS = 1 - 1e-6


def window_planes(
    images: Planes,
    centre_mm: npt.ArrayLike,
    size_mm: npt.ArrayLike,
    shape: tuple[int, int],
    *,
    right: npt.ArrayLike,
    down: npt.ArrayLike,
) -> Planes:
    """Return windows in the planes of n images.

    Args:
        images: n planes.
        centre_mm: (n, 3) the windows' centres, projected onto the planes along their normals.
        size_mm: (n, 2) or (2,), the width and the height of the window; a number for a square.
        shape: the rows and the columns of the crop.
        right: (n, 3) or (3,), patient space: decides which of the two possible directions is that
            of increasing x_px; if it is perpendicular to both, the normal decides.
        down: (n, 3) or (3,), patient space: the direction of increasing y_px, as closely as the
            plane allows.

    Returns:
        The planes of the crops, whichever way the images are stored. Pixels are square if the
        window and its crop have the same proportions.

    Raises:
        DataError: a `down` is perpendicular to its image, or a size is not above 0 mm.

    >>> image = Planes.from_dicom([[0, 0, 0]], [[1, 0, 0, 0, 1, 0]], [[1, 1]])
    >>> ways = {"right": [1, 0, 0], "down": [0, 1, 0]}
    >>> window = window_planes(image, [[50, 50, 0]], [40, 80], (40, 20), **ways)
    >>> pixel_maps(image, window).tolist()  # 40 mm in 20 columns: steps of 2 px, from 31
    [[[2.0, 0.0, 31.0], [0.0, 2.0, 11.0]]]
    """
    each = images.origin_mm.shape
    column = _in_plane(images, np.broadcast_to(np.asarray(down, dtype=np.float64), each))
    row = np.cross(column, images.normal)
    towards = _dot(row, np.broadcast_to(np.asarray(right, dtype=np.float64), each))
    row = row * np.where(towards < 0, -1.0, 1.0)[:, None]
    size = np.broadcast_to(np.asarray(size_mm, dtype=np.float64), (each[0], 2))
    _refuse(size.min(axis=1) <= 0, "size_mm", "above 0")
    step = size / shape[::-1]  # (n, 2) width and height of a pixel
    middle = images.to_mm(images.to_pixel(centre_mm))
    right_mm, down_mm = ((step * (np.array(shape[::-1]) - 1) / 2)[:, [axis]] for axis in (0, 1))
    # The last term is 0 for a square.
    origin = middle - down_mm * (row + column) - (right_mm - down_mm) * row
    return Planes(origin, row, column, step[:, ::-1])


def own_direction(images: Planes, wanted: npt.ArrayLike) -> FloatArray:
    """Return (n, 3), for each image the direction of its rows or columns nearest to `wanted`.

    The direction may also be opposite to that of the rows or columns. A window along it keeps the
    image's pixel grid, rotated by right angles at most.

    Args:
        images: n planes.
        wanted: (n, 3) or (3,) in patient space.

    >>> image = Planes.from_dicom([[0, 0, 0]], [[0, 1, 0, 0, 0, -1]], [[1, 1]])
    >>> own_direction(image, [0.1, 0.3, -0.9]).tolist()  # along its columns
    [[0.0, 0.0, -1.0]]
    """
    own = np.stack([images.row_direction, images.column_direction])
    cosine = _dot(own, np.asarray(wanted, dtype=np.float64))  # (2, n)
    nearest = np.abs(cosine).argmax(axis=0)
    slices = np.arange(len(nearest))
    sense = np.where(cosine[nearest, slices] < 0, -1.0, 1.0)
    directions: FloatArray = own[nearest, slices] * sense[:, None]
    return directions


def shift_windows(windows: Planes, shift: npt.ArrayLike, shape: tuple[int, int]) -> Planes:
    """Move windows in their planes by (right, down), (n, 2), in fractions of their size.

    Args:
        windows: n windows.
        shift: (n, 2), in fractions of the width and the height.
        shape: the rows and the columns of the crops.
    """
    by = np.asarray(shift, dtype=np.float64) * shape[::-1] * windows.spacing_mm[:, ::-1]
    along = by[:, :1] * windows.row_direction + by[:, 1:] * windows.column_direction
    return replace(windows, origin_mm=windows.origin_mm + along)


def pixel_maps(images: Planes, windows: Planes) -> FloatArray:
    """Return (n, 2, 3) affine maps from the windows' pixels (x_px, y_px, 1) to the images'."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    origin, *ends = np.moveaxis(
        images.to_pixel(windows.to_mm(np.broadcast_to(corners, (len(windows.origin_mm), 3, 2)))),
        1,
        0,
    )
    maps: FloatArray = np.stack([*(end - origin for end in ends), origin], axis=-1)
    return maps


def _in_plane(images: Planes, direction: FloatArray) -> FloatArray:
    """Return (n, 3) unit vectors: the directions projected onto the images' planes."""
    normal = images.normal
    length = np.linalg.norm(direction, axis=-1)
    across = _dot(direction, normal)
    _refuse(~(np.abs(across) < _ACROSS * length), "down", "a direction not along the normal")
    along = direction - across[:, None] * normal
    unit: FloatArray = along / np.linalg.norm(along, axis=-1)[:, None]
    return unit


def _refuse(bad: npt.NDArray[np.bool_], name: str, expected: str) -> None:
    if bad.any():
        raise DataError(
            f"windows: {name} of slice {int(bad.argmax())} of {len(bad)} cannot be used, expected "
            f"{expected}; pass another value"
        )


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    product: FloatArray = np.sum(a * b, axis=-1)
    return product
