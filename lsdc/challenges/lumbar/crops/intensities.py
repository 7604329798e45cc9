"""Intensities: the range of a series' stored values that is mapped to black and white.

Scanners store arbitrary ranges, so each acquisition of a series (its images of one pixel spacing)
is scaled by its own robust percentiles. They are computed from the stored values (with the file's
rescale slope and intercept), and only the result is rounded: rounding first can lose most of the
contrast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsdc.dicom.image import Image

DARKEST, BRIGHTEST = 0.01, 0.995  # quantiles of the values that become black and white
# Number of evenly spaced pixels of an acquisition that the quantiles are estimated from.
_PIXELS = 2**14


@dataclass(frozen=True)
class Range:
    """The brightness that becomes 0, and the one that becomes 1."""

    darkest: float
    brightest: float

    def linear(self, image: Image, white: int) -> tuple[float, float]:
        """Return (factor, offset) that map an image's stored values to 0 .. `white`."""
        gain = white / max(self.brightest - self.darkest, 1e-6)
        return image.slope * gain, (image.intercept - self.darkest) * gain


def robust_range(images: Sequence[Image]) -> Range:
    """Return the range of an acquisition from its readable images, one or more."""
    values = np.concatenate([_brightness(image, _PIXELS // len(images)) for image in images])
    values.sort()
    ranks = np.rint(np.array([DARKEST, BRIGHTEST]) * (len(values) - 1)).astype(int)
    return Range(*values[ranks].tolist())


def _brightness(image: Image, pixels: int) -> npt.NDArray[np.float32]:
    """Return the values of about `pixels` evenly spaced pixels."""
    step = max(1, int((image.stored.size / max(pixels, 1)) ** 0.5))
    # Half a step away from the edges, which show air.
    some = image.stored[step // 2 :: step, step // 2 :: step]
    return Image(some, image.slope, image.intercept).rescaled().ravel()
