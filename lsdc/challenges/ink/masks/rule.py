"""The rule by which a map of probabilities becomes a mask, with all its numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.masks.levels import (
    NEVER,
    Histogram,
    Probabilities,
    count_levels,
    level_at_quantile,
    level_of,
    levels_of,
)
from lsdc.challenges.ink.masks.regions import remove_regions
from lsdc.challenges.ink.masks.shrink import enlarge, shrink

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """A threshold, and which connected regions are kept.

    Attributes:
        by: whether `threshold` and `top` are probabilities, or quantiles inside the mask.
        threshold: pixels of at least this are ink.
        block_px: the side of the squares within which the quantile is taken; None takes all.
        top: a region is kept if one of its pixels has at least this; None keeps all.
        min_region_px: the smallest area of a region that is kept, in pixels.
        shrink: the factor by which the map is reduced before, and the mask enlarged after.
    """

    by: Literal["value", "quantile"]
    threshold: float
    block_px: int | None = None
    top: float | None = None
    min_region_px: int = 0
    shrink: int = 1

    @property
    def looks_at_regions(self) -> bool:
        """Whether connected regions can be removed."""
        return self.top is not None or self.min_region_px > 0

    def level(self, histogram: Histogram, threshold: float) -> int:
        """Return the level of a threshold in a map with these levels."""
        if self.by == "value":
            return max(level_of(threshold), 1) if threshold <= 1 else NEVER
        return level_at_quantile(histogram, threshold)

    def describe(self) -> str:
        """Return it in words."""
        words = [f"{self.by} {self.threshold:.3f}"]
        if self.block_px is not None:
            words.append(f"in squares of {self.block_px} px")
        if self.top is not None:
            words.append(f"with a pixel of {self.top:.3f}")
        if self.min_region_px:
            words.append(f"regions from {self.min_region_px:,} px")
        if self.shrink > 1:
            words.append(f"at 1/{self.shrink}")
        return ", ".join(words)


def fixed_rule(config: MaskConfig) -> Rule:
    """Return the rule of settings of which none is fitted."""
    return rule_of(config, threshold=0.5, top=None, min_region_px=0)


def rule_of(config: MaskConfig, *, threshold: float, top: float | None, min_region_px: int) -> Rule:
    """Return the rule of some settings; these numbers are taken for what is fitted."""
    fitted = config.fitted
    return Rule(
        by=config.by,
        threshold=threshold if "threshold" in fitted else float(config.threshold),
        block_px=config.block_px,
        top=top if "top" in fitted else (None if config.top is None else float(config.top)),
        min_region_px=min_region_px if "min_region_px" in fitted else int(config.min_region_px),
        shrink=config.shrink,
    )


def make_mask(probabilities: Probabilities, inside: Mask, rule: Rule) -> Mask:
    """Return the mask of ink, (rows, columns): never outside `inside`.

    Args:
        probabilities: (rows, columns), float16.
        inside: where the fragment is, (rows, columns).
        rule: the rule.
    """
    if rule.shrink > 1:
        small = shrink(probabilities, inside, rule.shrink)
        found = _cut(small.probabilities, small.inside, rule)
        return enlarge(found, rule.shrink, probabilities.shape) & inside
    return _cut(probabilities, inside, rule)


def _cut(probabilities: Probabilities, inside: Mask, rule: Rule) -> Mask:
    ink = np.zeros(probabilities.shape, bool)
    for square in squares(probabilities.shape, rule.block_px, rule.shrink):
        histogram = count_levels(probabilities[square], inside[square], None)
        level = rule.level(histogram, rule.threshold)
        ink[square] = (levels_of(probabilities[square]) >= level) & inside[square]
    if rule.looks_at_regions:
        top = 0
        if rule.top is not None:
            top = rule.level(count_levels(probabilities, inside, None), rule.top)
        least = rule.min_region_px / rule.shrink**2
        remove_regions(ink, levels_of(probabilities), least=least, top=top)
    return ink


def squares(
    shape: tuple[int, ...], block_px: int | None, shrunk: int
) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of a map within which a quantile is taken."""
    rows, columns = shape[0], shape[1]
    size = max(rows, columns, 1) if block_px is None else max(1, block_px // shrunk)
    for top in range(0, rows, size):
        for left in range(0, columns, size):
            yield slice(top, top + size), slice(left, left + size)
