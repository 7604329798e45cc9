"""Resampling: the pixels of a window, interpolated between those of its image."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import FloatArray

Image = npt.NDArray[np.float32]
Border = Literal["edge", "constant"]

# A crop that is up to so much coarser than its image is taken from single points of it.
_ROUGHLY_EQUAL = 1.05


def resample(
    image: Image,
    pixel_map: FloatArray,
    size_px: int,
    *,
    border: Border = "edge",
    constant: float = 0.0,
) -> Image:
    """A crop of an image, bilinear between its pixels.

    Where the crop's pixels are larger than the image's, each is the mean over its area, by as many
    points as it takes to miss none: single points would turn fine detail into false patterns.

    Args:
        image: (rows, columns) float32.
        pixel_map: (2, 3), the crop's (x_px, y_px, 1) to the image's pixels; see `pixel_maps`.
        size_px: rows, and columns, of the crop.
        border: beyond the image its edges are continued, or all is `constant`.
        constant: see there.

    Returns:
        (size_px, size_px) float32.
    """
    # OpenCV takes 0.2 s to import, which a run without crops to cut need not spend.
    import cv2

    steps = np.hypot(*pixel_map[:, :2])  # along the crop's x and y, in the image's pixels
    points = tuple(max(1, int(np.ceil(step / _ROUGHLY_EQUAL))) for step in steps)
    fine: Image = cv2.warpAffine(
        image,
        _between_points(pixel_map, points),
        (size_px * points[0], size_px * points[1]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if border == "edge" else cv2.BORDER_CONSTANT,
        borderValue=constant,
    )
    if points == (1, 1):
        return fine
    area: Image = cv2.resize(fine, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return area


def _between_points(pixel_map: FloatArray, points: tuple[int, ...]) -> FloatArray:
    """The map of a crop with so many points in each pixel, spread evenly over its area."""
    if points == (1, 1):
        return pixel_map
    share = np.diag([1 / points[0], 1 / points[1], 1.0])
    share[:2, 2] = [(1 / count - 1) / 2 for count in points]
    finer: FloatArray = pixel_map @ share
    return finer
