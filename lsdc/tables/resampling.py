"""Intervals of weighted means, and of their differences, by drawing groups with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
COVERAGE = 0.95
_AT_ONCE = 250  # draws, to bound memory


@dataclass(frozen=True)
class Interval:
    """A 95 % interval: the middle 95 % of the values over all draws."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The loss of a run minus that of the first run, over the same rows; None without rows.

    `sure` is true if the interval does not contain zero.
    """

    value: float | None
    interval: Interval | None

    @property
    def sure(self) -> bool:
        """Whether the interval does not contain zero."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


@dataclass(frozen=True)
class Sums:
    """The sums of a run's weighted losses and of its weights, (groups, parts) each."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]


def resample(runs: Sequence[Sums], *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """Return the weighted mean of each part for random sets of groups.

    Every run gets the same sets, so differences between runs are paired.

    Args:
        runs: the sums of each run, over the same groups in the same order.
        draws: the number of sets, each of as many groups as there are, drawn with replacement.
        seed: the seed of the draws.

    Returns:
        (runs, draws, parts): a part without weight in a set is NaN.
    """
    count, parts = runs[0].losses.shape
    random = np.random.default_rng(seed)
    found = np.empty((len(runs), draws, parts))
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        chosen = random.integers(count, size=(size, count))
        times = np.apply_along_axis(np.bincount, 1, chosen, minlength=count).astype(float)
        for run, sums in enumerate(runs):
            with np.errstate(invalid="ignore", divide="ignore"):
                found[run, start : start + size] = (times @ sums.losses) / (times @ sums.weights)
    return found


def interval(values: NDArray[np.float64]) -> Interval:
    """Return the interval of the values of all draws; NaN is left out."""
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))
