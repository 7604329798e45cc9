"""Scales of charts: round ticks, and positions on the drawing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, drawn from `start` to `end` in px."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value in px."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values on the axis, `most` of them at most.

        >>> Axis(0, 1.1, 0, 100).ticks()
        [0.0, 0.25, 0.5, 0.75, 1.0]
        """
        span = self.high - self.low
        size = 10 ** math.floor(math.log10(span / most))
        step = next(size * each for each in _STEPS if span / (size * each) <= most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return the label of a tick.

    >>> tick_text(0.25), tick_text(2.0)
    ('0.25', '2')
    """
    return f"{value:g}"


def span_of(values: Sequence[float], *, from_zero: bool = False) -> tuple[float, float]:
    """Return the lowest and the highest finite value, apart from one another.

    >>> span_of([3.0, math.inf, 1.0]), span_of([2.0]), span_of([])
    ((1.0, 3.0), (1.5, 2.5), (0.0, 1.0))
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    if from_zero:
        low = min(0.0, low)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
