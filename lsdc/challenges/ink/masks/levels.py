"""The values of a map, counted exactly: a float16 from 0 to 1 is one of 15,361 levels.

The bits of a float16 that is not negative, read as a whole number, are in the order of the values.
So a histogram of these numbers loses nothing, needs no sorting, and adds up over parts of a map.
"""

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float16]
Levels = NDArray[np.uint16]
Histogram = NDArray[np.float64]  # (LEVELS,), numbers of pixels

LEVELS = int(np.float16(1).view(np.uint16)) + 1
NEVER = LEVELS  # the level that no pixel reaches
_ROWS = 1024  # counted at a time


def levels_of(probabilities: Probabilities) -> Levels:
    """Return the level of each pixel, from 0 for 0.0 to LEVELS - 1 for 1.0."""
    return np.ascontiguousarray(probabilities, np.float16).view(np.uint16)


def level_of(value: float) -> int:
    """Return the lowest level whose value is at least `value`.

    >>> value_of(level_of(0.5))
    0.5
    """
    level = int(np.float16(value).view(np.uint16))
    return level if value_of(level) >= value else level + 1


def value_of(level: int) -> float:
    """Return the probability of a level."""
    return float(np.uint16(level).view(np.float16))


def count_levels(
    probabilities: Probabilities, inside: NDArray[np.bool_], weights: NDArray[np.floating] | None
) -> Histogram:
    """Count the pixels inside the mask by their levels.

    Args:
        probabilities: (rows, columns).
        inside: (rows, columns).
        weights: how much each pixel counts, (rows, columns); None counts each as 1.
    """
    total = np.zeros(LEVELS)
    for top in range(0, len(probabilities), _ROWS):
        rows = slice(top, top + _ROWS)
        where = np.asarray(inside[rows])
        found = levels_of(probabilities[rows])[where]
        weighed = None if weights is None else np.asarray(weights[rows])[where]
        total += np.bincount(found, weighed, minlength=LEVELS)
    return total


def at_least(histogram: Histogram) -> Histogram:
    """Return how many pixels have each level or a higher one: (LEVELS + 1,), the last one 0."""
    return np.append(np.cumsum(histogram[::-1])[::-1], 0.0)


def level_at_quantile(histogram: Histogram, quantile: float) -> int:
    """Return the level from which on pixels are ink, so that a share `quantile` is below it.

    Equal values stay together. So the share that is nearest is taken, the smaller of two; where
    many pixels have the largest value, these are ink at every quantile, and never none. The value 0
    is no ink at any.
    """
    return int(levels_at_quantiles(histogram, np.array([quantile]))[0])


def levels_at_quantiles(histogram: Histogram, quantiles: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the level for each of several quantiles; see `level_at_quantile`."""
    present = np.flatnonzero(histogram)
    present = present[present > 0]
    if not len(present):
        return np.full(len(quantiles), NEVER)
    reached = at_least(histogram)[present]  # falling
    wanted = (1 - quantiles) * histogram.sum()  # (q,)
    # Places in the rising order of numbers of pixels.
    after = np.searchsorted(reached[::-1], wanted).clip(0, len(present) - 1)
    before = (after - 1).clip(0)
    rising, levels = reached[::-1], present[::-1]
    nearer = wanted - rising[before] <= rising[after] - wanted
    chosen: NDArray[np.int64] = levels[np.where(nearer, before, after)]
    return chosen
