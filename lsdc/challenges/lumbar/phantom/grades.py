"""Assign grades to the studies of a phantom."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import LEVEL_COUNT

GradeMix = Literal["balanced", "real"]

# Fractions of moderate and severe over all levels (canal, foramina, recesses), and their
# distribution over the levels L1/L2 .. L5/S1: disease is most frequent at L4/L5.
_MODERATE = np.array([0.075, 0.18, 0.18, 0.19, 0.19])
_SEVERE = np.array([0.048, 0.04, 0.04, 0.095, 0.095])
_MODERATE_BY_LEVEL = np.array([0.4, 0.7, 1.3, 1.7, 0.9])
_SEVERE_BY_LEVEL = np.array([0.2, 0.5, 1.2, 2.5, 0.6])


def deal_grades(count: int, mix: GradeMix, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return (count, 5 conditions, 5 levels) grades: 0 normal or mild, 1 moderate, 2 severe.

    "balanced" gives each grade to a third of the studies in every condition and level, so that
    neither predicts the grade; "real" draws at the competition's frequencies.
    """
    shape = (count, len(_MODERATE), LEVEL_COUNT)
    if mix == "balanced":
        start = rng.integers(0, 3, shape[1:])
        thirds = (np.arange(count)[:, None, None] + start) % 3
        return rng.permuted(thirds, axis=0).astype(np.int8)
    severe = np.outer(_SEVERE, _SEVERE_BY_LEVEL)
    moderate = np.outer(_MODERATE, _MODERATE_BY_LEVEL)
    chance = rng.random(shape)
    return ((chance < severe).astype(np.int8) * 2) + (
        (chance >= severe) & (chance < severe + moderate)
    ).astype(np.int8)
