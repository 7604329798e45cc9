"""The order of a sample's slices: shifted within parts, or any other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsdc.training.samples import Sample

Parts = Sequence[Sequence[int]]
"""Indices of neighbouring slices, in order, for each part of a sample."""


def shifted_order(
    slices: int, parts: Parts, places: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where the slices come from if those of each part are shifted, and what is vacated.

    Args:
        slices: number of slices of a sample.
        parts: the parts.
        places: places to shift towards the end of each part, or the beginning if negative; a part
            that would lose all its slices is left unchanged.

    Returns:
        For each place, the place that its slice comes from, and whether it is vacated; each
        (slices,).

    >>> shifted_order(4, [[0, 1, 2], [3]], 1)
    (array([2, 0, 1, 3]), array([ True, False, False, False]))
    """
    order, vacated = np.arange(slices), np.zeros(slices, dtype=bool)
    for part in map(np.array, parts):
        if len(part) > abs(places):
            order[part] = np.roll(part, places)
            vacated[part[:places] if places > 0 else part[places:]] = places != 0
    return order, vacated


def reorder_slices(sample: Sample, order: Sequence[int] | NDArray[np.int64]) -> Sample:
    """Return a copy of the sample whose slice at each place is that at `order[place]`.

    Mask and annotated slices move along.
    """
    marks = sample.labels.slices
    return Sample(
        slices=sample.slices[order],
        present=sample.present[order],
        labels=sample.labels._replace(slices=None if marks is None else marks[:, order]),
    )
