"""How well probabilities agree with frequencies: what a reliability curve shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10
FEWEST_ROWS = 20  # in a bin; the frequency among fewer says little


@dataclass(frozen=True)
class Reliability:
    """How often something occurs where it is predicted with a probability, in up to ten bins.

    A bin of fewer than FEWEST_ROWS rows is joined with the next ones, the last with those before.

    Attributes:
        predicted: the mean probability of each bin.
        observed: the frequency in the bin.
        weight: the fraction of all weight in the bin.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    weight: tuple[float, ...]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of the two, by weight."""
        distances = np.abs(np.subtract(self.predicted, self.observed))
        return float(distances @ np.asarray(self.weight))


def measure_reliability(
    given: NDArray[np.float64], occurs: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Reliability:
    """Return how well probabilities agree with frequencies.

    Args:
        given: (n,) the probabilities.
        occurs: (n,) whether it occurs.
        weights: (n,) the weights, of the means as of the frequencies.
    """
    bins = np.minimum((given * BINS).astype(int), BINS - 1)
    bins = _joined(np.bincount(bins, minlength=BINS))[bins]
    weight = np.bincount(bins, weights)
    predicted = np.bincount(bins, weights * given) / weight
    observed = np.bincount(bins, weights * occurs) / weight
    return Reliability(
        tuple(predicted.tolist()),
        tuple(observed.tolist()),
        tuple((weight / weight.sum()).tolist()),
    )


def _joined(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the joined bin of each bin, given the rows of each bin."""
    numbers, number, held = np.zeros(len(rows), dtype=np.int64), 0, 0
    for place, own in enumerate(rows):
        numbers[place], held = number, held + own
        if held >= FEWEST_ROWS:
            number, held = number + 1, 0
    # What is left at the end is too little for a bin of its own.
    return np.minimum(numbers, max(number - 1, 0))
