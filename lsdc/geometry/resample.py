"""Resampling: the pixels of windows, interpolated between those of their images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import FloatArray

Pixels = npt.NDArray[np.float32]
Border = Literal["edge", "constant"]

# Pixels of a crop that are larger than the image's by no more than this share are single points.
_SLIGHTLY = 1 / 16
# OpenCV is quick with one and with four images next to each other, and slower with two or three.
_AT_ONCE = 4


def needed_part(
    shape: tuple[int, ...], pixel_map: FloatArray, size_px: int
) -> tuple[tuple[slice, slice], FloatArray]:
    """The part of an image that a crop is made of, and the crop's map into that part.

    Where the crop reaches over the image's edge, that is an edge of the part too.

    Args:
        shape: rows and columns of the image.
        pixel_map: (2, 3), the crop's (x_px, y_px, 1) to the image's pixels; see `pixel_maps`.
        size_px: rows, and columns, of the crop.

    Returns:
        Rows and columns of the part, and the map (2, 3).
    """
    (a, b, x), (c, d, y) = pixel_map.tolist()
    columns = _span(a, b, x, shape[1], size_px)
    rows = _span(c, d, y, shape[0], size_px)
    moved = np.array([[a, b, x - columns.start], [c, d, y - rows.start]])
    return (rows, columns), moved


def resample(
    images: Sequence[npt.NDArray[Any]],
    pixel_map: FloatArray,
    size_px: int,
    *,
    border: Border = "edge",
    linear: tuple[float, float] = (1.0, 0.0),
    dtype: npt.DTypeLike = np.float32,
) -> list[npt.NDArray[Any]]:
    """The same crop of several images, bilinear between their pixels.

    Where the crop's pixels are larger than the images', each is the mean over its area, by as many
    points as it takes to miss none: single points would turn fine detail into false patterns.

    Args:
        images: one or more, each (rows, columns), integers of up to 16 bits or float32.
        pixel_map: (2, 3), the crop's (x_px, y_px, 1) to the images' pixels; see `pixel_maps`.
        size_px: rows, and columns, of the crop.
        border: beyond the images their edges are continued, or all is 0 (after `linear`).
        linear: factor and summand that the crops' values are changed by.
        dtype: float32, or uint8 or uint16, to which values are rounded and cut off.

    Returns:
        A crop (size_px, size_px) an image.
    """
    # OpenCV takes 0.2 s to import, which a run without crops to cut need not spend.
    import cv2

    depth = {"float32": cv2.CV_32F, "uint8": cv2.CV_8U, "uint16": cv2.CV_16U}[np.dtype(dtype).name]
    factor, summand = linear
    beyond = None if border == "edge" else -summand / factor
    crops: list[npt.NDArray[Any]] = []
    for first in range(0, len(images), _AT_ONCE):
        some = images[first : first + _AT_ONCE]
        missing = (_AT_ONCE - len(some)) * (len(some) > 1)
        together = cv2.merge([*some, *[some[0]] * missing]).astype(np.float32)
        crop = _warp(together, pixel_map, size_px, beyond)
        # NumPy would multiply, add, round, cut off and convert in five passes.
        crop = cv2.addWeighted(crop, factor, crop, 0.0, summand, dtype=depth)
        crops += cv2.split(crop)[: len(some)]
    return crops


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV to one thread: for small crops, waiting for a second costs more than it saves."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _span(step_x: float, step_y: float, start: float, length: int, size_px: int) -> slice:
    """Which of an image's rows or columns a crop reaches, and one more at each end."""
    ends = [start + step_x * x + step_y * y for x in (-0.5, size_px) for y in (-0.5, size_px)]
    first = min(max(int(min(ends)) - 2, 0), length - 1)
    last = min(max(int(max(ends)) + 2, 0), length - 1)
    return slice(first, last + 1)


def _warp(images: Pixels, pixel_map: FloatArray, size_px: int, beyond: float | None) -> Pixels:
    """The crop, with a value for what is beyond the images, or their edges continued."""
    import cv2

    (a, b, _), (c, d, _) = pixel_map
    # Points a pixel along the crop's x and y, so that they lie no farther apart than the image's.
    points = [max(1, int(np.ceil(np.hypot(*step) - _SLIGHTLY))) for step in ((a, c), (b, d))]
    fine: Pixels = cv2.warpAffine(
        images,
        _between_points(pixel_map, points),
        (size_px * points[0], size_px * points[1]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT,
        borderValue=[beyond or 0.0] * _AT_ONCE,
    )
    if points == [1, 1]:
        return fine
    area: Pixels = cv2.resize(fine, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return area


def _between_points(pixel_map: FloatArray, points: list[int]) -> FloatArray:
    """The map of a crop with so many points in each pixel, spread evenly over its area."""
    if points == [1, 1]:
        return pixel_map
    share = np.diag([1 / points[0], 1 / points[1], 1.0])
    share[:2, 2] = [(1 / count - 1) / 2 for count in points]
    finer: FloatArray = pixel_map @ share
    return finer
