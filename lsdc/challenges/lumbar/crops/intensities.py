"""Intensities: what of a series' stored values becomes black and white.

Scanners store any range they like, so each acquisition of a series (its images of one pixel
spacing) is scaled by robust percentiles of its own. They are taken of the values as stored
(rescaled where the file says so), and only what comes of it is rounded: to round first has cost
others most of the contrast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsdc.dicom.image import Image

DARKEST, BRIGHTEST = 0.01, 0.995  # shares of the pixels that lie below black and white
# Pixels evenly spread over the acquisition, which tell these shares as well as all do.
_PIXELS = 2**14


@dataclass(frozen=True)
class Range:
    """Brightness that becomes 0, and that which becomes 1."""

    darkest: float
    brightest: float

    def linear(self, image: Image, white: int) -> tuple[float, float]:
        """(factor, summand) that turn an image's stored values into 0 .. `white`."""
        gain = white / max(self.brightest - self.darkest, 1e-6)
        return image.slope * gain, (image.intercept - self.darkest) * gain


def robust_range(images: Sequence[Image]) -> Range:
    """The range of an acquisition from those of its images that are at hand, one or more."""
    values = np.concatenate([_brightness(image, _PIXELS // len(images)) for image in images])
    values.sort()
    ranks = np.rint(np.array([DARKEST, BRIGHTEST]) * (len(values) - 1)).astype(int)
    return Range(*values[ranks].tolist())


def _brightness(image: Image, pixels: int) -> npt.NDArray[np.float32]:
    """About so many pixels, evenly spread."""
    step = max(1, int((image.stored.size / max(pixels, 1)) ** 0.5))
    # Half a step from the edges, where there is air.
    some = image.stored[step // 2 :: step, step // 2 :: step]
    return Image(some, image.slope, image.intercept).rescaled().ravel()
