"""The weighted prior: predictions from the frequency of each grade, without images.

It is the counts of the grades in a cell, a pooled condition (canal, foraminal, subarticular) at a
level, times the metric's weights 1/2/4, divided by their sum.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.metric import POOLED
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADE_WEIGHTS, GRADES, LEVELS


def prior_table(labels: pl.DataFrame, smoothing: float = 0.0) -> pl.DataFrame:
    """Return the prior of each condition and level.

    Args:
        labels: study_id, condition, level, grade; rows without a grade are not counted.
        smoothing: pseudo-count added to each of a cell's three counts, before the weights.

    Returns:
        condition, level and the three probabilities: 25 rows. A cell without counts takes its
        condition's counts over all levels, else those of all conditions, else equal counts.

    >>> cell = {"condition": "spinal_canal_stenosis", "level": "l1_l2"}
    >>> labels = pl.DataFrame([{**cell, "grade": grade} for grade in (0, 0, 2, 2)])
    >>> prior_table(labels).row(0)[2:]  # the counts 2, 0, 2 times 1, 2, 4, divided by their sum
    (0.2, 0.0, 0.8)
    """
    counts = _counts(labels) + smoothing
    weighted = counts * np.asarray(GRADE_WEIGHTS)
    for wider in (weighted.sum(1, keepdims=True), weighted.sum((0, 1)), np.ones(len(GRADES))):
        weighted = np.where(weighted.sum(-1, keepdims=True) > 0, weighted, wider)
    prior = weighted / weighted.sum(-1, keepdims=True)
    rows = [
        (str(condition), str(level), *prior[POOLED.index(condition.pooled), place].tolist())
        for condition in CONDITIONS
        for place, level in enumerate(LEVELS)
    ]
    return pl.DataFrame(rows, schema=["condition", "level", *PROBABILITIES], orient="row")


def weighted_prior(labels: pl.DataFrame) -> pl.DataFrame:
    """Predict each row of the labels by the prior of these same labels: the metric's baseline.

    Returns:
        row_id and the three probabilities, in the labels' order.
    """
    return predict_prior(labels, prior_table(labels))


def out_of_fold_prior(
    labels: pl.DataFrame, folds: pl.DataFrame, smoothing: float = 0.5
) -> pl.DataFrame:
    """Predict each fold's studies by the prior of all other folds' labels.

    Without smoothing, a grade that is absent from the other folds would get probability zero and
    the log loss of the clip.

    Args:
        labels: study_id, condition, level, grade.
        folds: study_id, fold; studies without a fold are neither counted nor predicted.
        smoothing: pseudo-count added to each of a cell's three counts, before the weights.

    Returns:
        row_id and the three probabilities, fold by fold.
    """
    dealt = labels.join(folds, on="study_id", how="inner", maintain_order="left")
    return pl.concat(
        predict_prior(
            held_out, prior_table(dealt.join(held_out, on="study_id", how="anti"), smoothing)
        )
        for held_out in dealt.partition_by("fold")
    )


def predict_prior(labels: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Predict each row of the labels by a prior, a table as `prior_table` returns it.

    Returns:
        row_id and the three probabilities, in the labels' order.
    """
    predicted = labels.join(prior, on=["condition", "level"], how="left", maintain_order="left")
    return predicted.select(row_id(), *PROBABILITIES)


def _counts(labels: pl.DataFrame) -> NDArray[np.float64]:
    """Count the labelled rows of each (pooled condition, level, grade)."""
    counts = np.zeros((len(POOLED), len(LEVELS), len(GRADES)))
    graded = labels.drop_nulls("grade").group_by("condition", "level", "grade").len()
    pooled = {str(condition): POOLED.index(condition.pooled) for condition in CONDITIONS}
    for condition, level, grade, rows in graded.iter_rows():
        counts[pooled[condition], LEVELS.index(level), grade] += rows
    return counts
