"""Windows: squares of a size in mm cut out of images, as planes with pixels of their own.

A window lies in the plane of its image, so it is a plane too: what holds of planes (pixel to mm and
back) holds of crops, and the way from a crop's pixels to the image's is an affine map.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lsdc.errors import DataError
from lsdc.geometry.planes import FloatArray, Planes

# A direction this nearly along the normal (by cosine) leaves none in the plane to go by.
_ACROSS = 1 - 1e-6


def window_planes(
    images: Planes,
    centre_mm: npt.ArrayLike,
    edge_mm: npt.ArrayLike,
    size_px: int,
    *,
    right: npt.ArrayLike,
    down: npt.ArrayLike,
) -> Planes:
    """Square windows in the planes of n images.

    Args:
        images: n planes.
        centre_mm: (n, 3) the windows' middles, dropped onto the planes along their normals.
        edge_mm: (n,) or a number, from edge to edge of the window.
        size_px: rows, and columns, of the crop.
        right: (n, 3) or (3,), patient space: which way growing x_px goes, of the two there are; as
            the normal has it where both are as good.
        down: (n, 3) or (3,), patient space: where growing y_px goes, as near as the plane allows.

    Returns:
        The planes of the crops, of square pixels, whichever way the images are stored.

    Raises:
        DataError: a `down` is across its image, or a edge is not above 0 mm.
    """
    shape = images.origin_mm.shape
    column = _in_plane(images, np.broadcast_to(np.asarray(down, dtype=np.float64), shape))
    row = np.cross(column, images.normal)
    towards = _dot(row, np.broadcast_to(np.asarray(right, dtype=np.float64), shape))
    row = row * np.where(towards < 0, -1.0, 1.0)[:, None]
    edge = np.broadcast_to(np.asarray(edge_mm, dtype=np.float64), shape[:1])
    _refuse(~(edge > 0), "edge_mm", "above 0")
    step = (edge / size_px)[:, None]
    middle = images.to_mm(images.to_pixel(centre_mm))
    origin = middle - (size_px - 1) / 2 * step * (row + column)
    return Planes(origin, row, column, np.repeat(step, 2, axis=1))


def own_direction(images: Planes, wanted: npt.ArrayLike) -> FloatArray:
    """(n, 3) which of an image's four directions, along or against rows or columns, is nearest.

    A window along it takes the image's pixels as they lie, and turns by right angles at most.

    Args:
        images: n planes.
        wanted: (n, 3) or (3,) in patient space.
    """
    own = np.stack([images.row_direction, images.column_direction])
    cosine = _dot(own, np.asarray(wanted, dtype=np.float64))  # (2, n)
    nearest = np.abs(cosine).argmax(axis=0)
    slices = np.arange(len(nearest))
    sense = np.where(cosine[nearest, slices] < 0, -1.0, 1.0)
    directions: FloatArray = own[nearest, slices] * sense[:, None]
    return directions


def shift_windows(windows: Planes, shift: npt.ArrayLike, size_px: int) -> Planes:
    """The windows moved in their planes by (right, down) in fractions of their edges; (n, 2)."""
    by = np.asarray(shift, dtype=np.float64) * size_px * windows.spacing_mm[:, ::-1]
    along = by[:, :1] * windows.row_direction + by[:, 1:] * windows.column_direction
    return replace(windows, origin_mm=windows.origin_mm + along)


def pixel_maps(images: Planes, windows: Planes) -> FloatArray:
    """(n, 2, 3) affine maps of the windows' pixels (x_px, y_px, 1) to those of the images."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    origin, *ends = np.moveaxis(
        images.to_pixel(windows.to_mm(np.broadcast_to(corners, (len(windows.origin_mm), 3, 2)))),
        1,
        0,
    )
    maps: FloatArray = np.stack([*(end - origin for end in ends), origin], axis=-1)
    return maps


def _in_plane(images: Planes, direction: FloatArray) -> FloatArray:
    """(n, 3) unit vectors: the directions without what goes across the images."""
    normal = images.normal
    length = np.linalg.norm(direction, axis=-1)
    across = _dot(direction, normal)
    _refuse(~(np.abs(across) < _ACROSS * length), "down", "a direction that is not across")
    along = direction - across[:, None] * normal
    unit: FloatArray = along / np.linalg.norm(along, axis=-1)[:, None]
    return unit


def _refuse(bad: npt.NDArray[np.bool_], name: str, expected: str) -> None:
    if bad.any():
        raise DataError(
            f"windows: {name} of slice {int(bad.argmax())} of {len(bad)} cannot be used, expected "
            f"{expected}; give another one"
        )


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    product: FloatArray = np.sum(a * b, axis=-1)
    return product
