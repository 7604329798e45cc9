"""Image: a greyscale image as its file stores it, and what makes brightness of the values."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Stored = npt.NDArray[np.integer[Any]]

# What stored values come as, in this machine's byte order.
STORED_TYPES = {name: np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4")}


class Image(NamedTuple):
    """A greyscale image as stored.

    Attributes:
        stored: (rows, columns), of one of `STORED_TYPES`: the values in their used bits.
        slope: from stored values to brightness; negative where low values are bright.
        intercept: likewise.
    """

    stored: Stored
    slope: float
    intercept: float

    def rescaled(self) -> npt.NDArray[np.float32]:
        """The image (rows, columns) in its own memory: rescaled, large values bright.

        Rescaling is PS3.3 C.11.1.1.2. MONOCHROME1 is mirrored within the range that BitsStored
        can hold, so that the images of one series stay comparable.
        """
        if (self.slope, self.intercept) == (1.0, 0.0):
            return self.stored.astype(np.float32)
        # In double precision: a slope may be the reciprocal of a large number.
        return (self.stored * self.slope + self.intercept).astype(np.float32)
