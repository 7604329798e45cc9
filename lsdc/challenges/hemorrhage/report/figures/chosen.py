"""Cases to look at: a label of an image each."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.scoring.metric import PARTS

MOST_CASES = 20_000  # in a page's table: the whole competition has 4.5 million
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Cases:
    """Some labels of some images.

    Attributes:
        images: (n,) the images' places in the rows of `Scored`.
        labels: (n,) the labels' places in PARTS.
    """

    images: Numbers
    labels: Numbers

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.images)

    def of_label(self, label: int) -> "Cases":
        """Return the cases of a label."""
        own = self.labels == label
        return Cases(self.images[own], self.labels[own])


def costliest_cases(scored: Scored, most: int) -> Cases:
    """Return the cases that cost most, the worst first."""
    return _cases(np.argsort(-scored.costs, axis=None, kind="stable")[:most])


def tabled_cases(scored: Scored) -> Cases:
    """Return the cases of the page's table, in the order of the images: the costliest if many."""
    order = np.argsort(-scored.costs, axis=None, kind="stable")[:MOST_CASES]
    return _cases(np.sort(order))


def spread_cases(scored: Scored, most: int) -> Cases:
    """Return costly cases of all labels and of many studies, each image once.

    Labels take turns, so that rare ones are shown, too. Slices beside one another look alike, so
    each further slice of a study counts half as much as the one before it.
    """
    queues = [iter(_by_studies(scored, column)) for column in scored.costs.T]
    taken, found = set[int](), list[int]()
    while len(found) < min(most, len(scored.rows)):
        for label, queue in enumerate(queues):
            image = next((each for each in queue if each not in taken), None)
            if image is not None and len(found) < most:
                taken.add(image)
                found.append(image * len(PARTS) + label)
    return _cases(np.array(found, dtype=np.int64))


def _by_studies(scored: Scored, costs: NDArray[np.float64]) -> list[int]:
    """Return the images from the costliest on; each further one of a study counts half as much."""
    study = pl.coalesce("study_id", "image_id")
    ranked = (
        scored.rows.select(study, cost=pl.Series(costs))
        .with_row_index("image")
        .sort("cost", descending=True, maintain_order=True)
        .with_columns(before=pl.int_range(pl.len()).over("study_id"))
    )
    order = ranked.sort(
        pl.col("cost") * 0.5 ** pl.col("before"), descending=True, maintain_order=True
    )
    return order["image"].to_list()


def _cases(flat: Numbers) -> Cases:
    images, labels = np.divmod(flat, len(PARTS))
    return Cases(images, labels)
