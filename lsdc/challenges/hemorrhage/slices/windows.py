"""Windows: the part of the Hounsfield scale that a channel shows from black to white."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.slices.hounsfield import to_stored
from lsdc.dicom.image import Image, Stored

# Stored values, or means of them.
Values = Stored | npt.NDArray[np.float32]
Channel = npt.NDArray[np.uint8]

WHITE = 255


class Window(NamedTuple):
    """The HU that are black, and all below them, and those that are white, and all above.

    >>> Window.around(50, 175)
    Window(black=-37.5, white=137.5)
    """

    black: float
    white: float

    @classmethod
    def around(cls, centre: float, width: float) -> Self:
        """Return the window with that centre and width in HU, to the exact half."""
        return cls(centre - width / 2, centre + width / 2)

    def stretched(self, image: Image) -> Self:
        """Return the part of the window between the lowest and the highest HU of a slice."""
        ends = (image.stored.min(), image.stored.max())
        low, high = sorted(float(end) * image.slope + image.intercept for end in ends)
        return type(self)(*np.clip([low, high], *self).tolist())


def windows_of(
    config: SlicesConfig,
    centers: Sequence[float | None] | None,
    widths: Sequence[float | None] | None,
) -> list[Window]:
    """Return the window of each channel of a slice.

    Args:
        config: the settings of the slices.
        centers: WindowCenter of the slice's header, with one or several values.
        widths: WindowWidth of the slice's header.
    """
    if config.window == "fixed":
        return [Window.around(*window) for window in config.windows]
    centre, width = (values[0] if values else None for values in (centers, widths))
    if centre is None or width is None or width <= 0:
        return [Window.around(*config.windows[0])]
    return [Window.around(centre, width)]


def show(values: Values, image: Image, window: Window, out: Channel | None = None) -> Channel:
    """Return the part of the scale in a window as grey levels, rounded.

    Args:
        values: (rows, columns), stored values of the slice, or means of them.
        image: the slice, with the rescaling from stored values to HU.
        window: which HU are black and white.
        out: an array of the same shape for the result, instead of a new one.
    """
    import cv2

    black, white = (to_stored(end, image) for end in window)
    # If nothing can be told apart, all is black.
    gain = WHITE / (white - black) if white != black else 0.0
    if not _holds(values, black):
        values = values.astype(np.float32)
    # Each is one fast pass. The second takes absolute values, but none is negative.
    limited = (cv2.max if image.slope > 0 else cv2.min)(values, float(black))
    grey: Channel = cv2.convertScaleAbs(limited, dst=out, alpha=gain, beta=-black * gain)
    return grey


def show_unstretched(
    values: Values, image: Image, window: Window, out: Channel | None = None
) -> Channel:
    """Return the HU themselves as grey levels, limited to the window and to 0 .. `WHITE`."""
    hu = np.clip(values * np.float32(image.slope) + np.float32(image.intercept), *window)
    out = np.empty(values.shape, np.uint8) if out is None else out
    np.rint(np.clip(hu, 0, WHITE), out=out, casting="unsafe")
    return out


def _holds(values: Values, value: float) -> bool:
    """Return whether a number is one of the numbers that such values can be."""
    if values.dtype.kind == "f":
        return True
    limits = np.iinfo(values.dtype.name)
    return value.is_integer() and limits.min <= value <= limits.max
