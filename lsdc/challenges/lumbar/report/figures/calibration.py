"""Confusion matrices, and how well the probabilities agree with the frequencies of the grades.

Frequencies are weighted 1/2/4 as in the metric: the predictions with the lowest loss are not the
plain frequencies of the grades but the weighted ones.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.vocabulary import GRADE_WEIGHTS, GRADES
from lsdc.report.reliability import Reliability, measure_reliability


def confusion(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return the number of rows of each grade (first axis) and most likely grade (second)."""
    counts = np.zeros((len(GRADES), len(GRADES)), dtype=np.int64)
    likeliest = rows.select(PROBABILITIES).to_numpy().argmax(axis=1)
    np.add.at(counts, (rows["grade"].to_numpy(), likeliest), 1)
    return counts


def reliability(rows: pl.DataFrame, grade: int) -> Reliability:
    """Return how well the probabilities of a grade agree with its frequencies."""
    grades = rows["grade"].to_numpy()
    given = rows[PROBABILITIES[grade]].to_numpy()
    return measure_reliability(given, grades == grade, np.asarray(GRADE_WEIGHTS)[grades])
