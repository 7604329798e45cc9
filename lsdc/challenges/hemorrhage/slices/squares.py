"""Squares: slices of any shape, cropped and resized to the pixels that the model sees.

Values are averaged before they are shown in windows: a pixel of the square holds the mean
attenuation of its area, as a scanner with larger pixels would measure it. That is the cheaper order
as well. Its price is at the skull: a pixel that is half bone is white in every narrow window, and
may hide thin blood; slices of 512 px are not averaged.
"""

import numpy as np
import numpy.typing as npt

from lsdc.challenges.hemorrhage.slices.windows import Channel, Values


def background_box(channels: list[Channel]) -> tuple[slice, slice]:
    """Return the rows and columns from the first to the last pixel that is black in no channel.

    As in the repository of the challenge's published experiments, the last row and the last column
    are lost, and a black slice stays almost whole.
    """
    seen = np.min(channels, axis=0) > 0
    rows, columns = (_span(seen.any(axis=axis)) for axis in (1, 0))
    return rows, columns


def _span(seen: npt.NDArray[np.bool_]) -> slice:
    (places,) = np.nonzero(seen)
    first, last = (places[0], places[-1]) if len(places) else (0, len(seen) - 1)
    return slice(int(first), max(int(last), int(first) + 1))


def fit_square(values: Values, size: int, *, beyond: float) -> Values:
    """Resize a slice into the middle of a square; pixels stay square.

    Where the slice has more pixels than the square, each pixel of the square is the mean of its
    area; where it has fewer, they are interpolated.

    Args:
        values: (rows, columns).
        size: rows and columns of the square.
        beyond: the value around a slice that is not square.

    Returns:
        (size, size), float32; the same array if it has that shape already.
    """
    import cv2

    if values.shape == (size, size):
        return values
    longer = max(values.shape)
    rows, columns = (max(1, round(length * size / longer)) for length in values.shape)
    how = cv2.INTER_AREA if longer > size else cv2.INTER_LINEAR
    resized: npt.NDArray[np.float32]
    resized = cv2.resize(values.astype(np.float32), (columns, rows), interpolation=how)
    if rows == columns:
        return resized
    square = np.full((size, size), beyond, np.float32)
    top, left = (size - rows) // 2, (size - columns) // 2
    square[top : top + rows, left : left + columns] = resized
    return square
