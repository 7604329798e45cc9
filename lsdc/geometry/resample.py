"""Resampling: interpolate the pixels of windows from those of their images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import FloatArray

Pixels = npt.NDArray[np.float32]
Border = Literal["edge", "constant"]
Shape = tuple[int, int]

# Crop pixels larger than the image's by at most this fraction are sampled at one point.
_SLIGHTLY = 1 / 16
# OpenCV is fast with one or four interleaved images, and slower with two or three.
_AT_ONCE = 4


def needed_part(
    shape: tuple[int, ...], pixel_map: FloatArray, crop: Shape
) -> tuple[tuple[slice, slice], FloatArray]:
    """Return the part of an image that a crop needs, and the crop's map into that part.

    Where the crop extends beyond the image's edge, that is an edge of the part as well.

    Args:
        shape: rows and columns of the image.
        pixel_map: (2, 3), the crop's (x_px, y_px, 1) to the image's pixels; see `pixel_maps`.
        crop: rows and columns of the crop.

    Returns:
        Rows and columns of the part, and the map (2, 3).
    """
    (a, b, x), (c, d, y) = pixel_map.tolist()
    columns = _span(a, b, x, shape[1], crop)
    rows = _span(c, d, y, shape[0], crop)
    moved = np.array([[a, b, x - columns.start], [c, d, y - rows.start]])
    return (rows, columns), moved


def resample(
    images: Sequence[npt.NDArray[Any]],
    pixel_map: FloatArray,
    shape: Shape,
    *,
    border: Border = "edge",
    linear: tuple[float, float] = (1.0, 0.0),
    dtype: npt.DTypeLike = np.float32,
) -> list[npt.NDArray[Any]]:
    """Return the same crop of several images, with bilinear interpolation.

    Where the crop's pixels are larger than the images', each is the mean of enough points in its
    area to include every image pixel: single points would cause aliasing.

    Args:
        images: one or more, each (rows, columns), integers of up to 16 bits or float32.
        pixel_map: (2, 3), the crop's (x_px, y_px, 1) to the images' pixels; see `pixel_maps`.
        shape: rows and columns of the crop.
        border: the values beyond the images: their edges continued, or 0 (after `linear`).
        linear: the factor and summand applied to the crops' values.
        dtype: float32, or uint8 or uint16, to which values are rounded and clipped.

    Returns:
        One crop of that shape per image.

    >>> image = np.arange(16, dtype=np.float32).reshape(4, 4)
    >>> (crop,) = resample([image], np.array([[2, 0, 0.5], [0, 2, 0.5]]), (2, 2))  # of 2 x 2 px
    >>> crop.tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    # OpenCV takes 0.2 s to import, needed only when crops are cut.
    import cv2

    depth = {"float32": cv2.CV_32F, "uint8": cv2.CV_8U, "uint16": cv2.CV_16U}[np.dtype(dtype).name]
    factor, summand = linear
    beyond = None if border == "edge" else -summand / factor
    crops: list[npt.NDArray[Any]] = []
    for first in range(0, len(images), _AT_ONCE):
        some = images[first : first + _AT_ONCE]
        missing = (_AT_ONCE - len(some)) * (len(some) > 1)
        together = cv2.merge([*some, *[some[0]] * missing]).astype(np.float32)
        crop = _warp(together, pixel_map, shape, beyond)
        # NumPy would multiply, add, round, clip and convert in five passes.
        crop = cv2.addWeighted(crop, factor, crop, 0.0, summand, dtype=depth)
        crops += cv2.split(crop)[: len(some)]
    return crops


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit OpenCV to one thread: for small crops, a second costs more than it saves."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _span(step_x: float, step_y: float, start: float, length: int, crop: Shape) -> slice:
    """Return the slice of an image's rows or columns that a crop needs, plus one at each end."""
    rows, columns = crop
    ends = [start + step_x * x + step_y * y for x in (-0.5, columns) for y in (-0.5, rows)]
    first = min(max(int(min(ends)) - 2, 0), length - 1)
    last = min(max(int(max(ends)) + 2, 0), length - 1)
    return slice(first, last + 1)


def _warp(images: Pixels, pixel_map: FloatArray, shape: Shape, beyond: float | None) -> Pixels:
    """Return the crop, with a constant beyond the images, or with their edges continued."""
    import cv2

    (a, b, _), (c, d, _) = pixel_map
    rows, columns = shape
    # Points per pixel along the crop's x and y, no farther apart than the image's pixels.
    points = [max(1, int(np.ceil(np.hypot(*step) - _SLIGHTLY))) for step in ((a, c), (b, d))]
    fine: Pixels = cv2.warpAffine(
        images,
        _between_points(pixel_map, points),
        (columns * points[0], rows * points[1]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT,
        borderValue=[beyond or 0.0] * _AT_ONCE,
    )
    if points == [1, 1]:
        return fine
    area: Pixels = cv2.resize(fine, (columns, rows), interpolation=cv2.INTER_AREA)
    return area


def _between_points(pixel_map: FloatArray, points: list[int]) -> FloatArray:
    """Return the map of a crop with so many points in each pixel, spread evenly over its area."""
    if points == [1, 1]:
        return pixel_map
    share = np.diag([1 / points[0], 1 / points[1], 1.0])
    share[:2, 2] = [(1 / count - 1) / 2 for count in points]
    finer: FloatArray = pixel_map @ share
    return finer
