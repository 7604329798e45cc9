"""Image: a greyscale image as stored, with the rescaling from stored values to brightness."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Stored = npt.NDArray[np.integer[Any]]

# The types of stored values, in this machine's byte order.
STORED_TYPES = {name: np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4")}


class Image(NamedTuple):
    """A greyscale image as stored.

    Attributes:
        stored: (rows, columns), of one of `STORED_TYPES`: the values of the used bits.
        slope: the factor from stored values to brightness; negative if low values are bright.
        intercept: the summand from stored values to brightness.
    """

    stored: Stored
    slope: float
    intercept: float

    def rescaled(self) -> npt.NDArray[np.float32]:
        """Return a rescaled copy of the image (rows, columns) with large values bright.

        The rescaling is that of PS3.3 C.11.1.1.2. MONOCHROME1 is mirrored within the range of
        BitsStored, so that the images of one series stay comparable.
        """
        if (self.slope, self.intercept) == (1.0, 0.0):
            return self.stored.astype(np.float32)
        # In double precision: a slope may be the reciprocal of a large number.
        return (self.stored * self.slope + self.intercept).astype(np.float32)
