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


@dataclass(frozen=True)
class Reliability:
    """How often a grade occurs where it is predicted with a probability, in up to ten bins.

    Attributes:
        predicted: the mean probability of each bin with rows.
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
    weight = np.bincount(bins, weights, BINS)
    kept = weight > 0
    predicted = np.bincount(bins, weights * given, BINS)[kept] / weight[kept]
    observed = np.bincount(bins, weights * (grades == grade), BINS)[kept] / weight[kept]
    return Reliability(
        tuple(predicted.tolist()),
        tuple(observed.tolist()),
        tuple((weight[kept] / weight.sum()).tolist()),
    )
