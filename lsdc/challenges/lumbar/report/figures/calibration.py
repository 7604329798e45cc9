"""Confusion matrices, and how well the probabilities agree with the frequencies of the grades.

Frequencies are weighted 1/2/4 as in the metric: the predictions with the lowest loss are not the
plain frequencies of the grades but the weighted ones.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.vocabulary import GRADE_WEIGHTS, GRADES

BINS = 10
FEWEST_ROWS = 20  # in a bin; the frequency among fewer says little


@dataclass(frozen=True)
class Reliability:
    """How often a grade occurs where it is predicted with a probability, in up to ten bins.

    A bin of fewer than FEWEST_ROWS rows is joined with the next ones, the last with those before.

    Attributes:
        predicted: the mean probability of each bin.
        observed: the frequency of the grade in the bin.
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


def confusion(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return the number of rows of each grade (first axis) and most likely grade (second)."""
    counts = np.zeros((len(GRADES), len(GRADES)), dtype=np.int64)
    likeliest = rows.select(PROBABILITIES).to_numpy().argmax(axis=1)
    np.add.at(counts, (rows["grade"].to_numpy(), likeliest), 1)
    return counts


def reliability(rows: pl.DataFrame, grade: int) -> Reliability:
    """Return how well the probabilities of a grade agree with its frequencies."""
    grades = rows["grade"].to_numpy()
    weights = np.asarray(GRADE_WEIGHTS)[grades]
    given = rows[PROBABILITIES[grade]].to_numpy()
    bins = np.minimum((given * BINS).astype(int), BINS - 1)
    bins = _joined(np.bincount(bins, minlength=BINS))[bins]
    weight = np.bincount(bins, weights)
    predicted = np.bincount(bins, weights * given) / weight
    observed = np.bincount(bins, weights * (grades == grade)) / weight
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
