"""The competition's metric: F0.5 over all pixels of a fragment's frame, from whole numbers.

    F = (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP),  b = 0.5

The mask does not enter: an ink pixel outside of it counts, too. No small number is added to the
fraction. Without any ink, predicted or labelled, the fraction is 0 / 0; it counts as 1, since
nothing is wrong. The score of several fragments is the mean of theirs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.vocabulary import BETA
from lsdc.errors import DataError

_SQUARE = BETA * BETA
_BLOCK = 1 << 24  # pixels compared at a time


@dataclass(frozen=True)
class Counts:
    """The pixels of a frame by prediction and label, those of neither excepted.

    Attributes:
        true_positive: ink that is predicted.
        false_positive: pixels predicted that are not ink.
        false_negative: ink that is not predicted.

    >>> round(Counts(3, 1, 2).f_beta, 12)
    0.714285714286
    """

    true_positive: int
    false_positive: int
    false_negative: int

    @property
    def f_beta(self) -> float:
        """The F0.5 of these counts, from 0 to 1; 1 if all of them are 0."""
        if not (self.true_positive or self.false_positive or self.false_negative):
            return 1.0
        weighted = (1 + _SQUARE) * self.true_positive
        return weighted / (weighted + _SQUARE * self.false_negative + self.false_positive)

    @property
    def precision(self) -> float | None:
        """The share of the predicted pixels that are ink; None without any."""
        predicted = self.true_positive + self.false_positive
        return self.true_positive / predicted if predicted else None

    @property
    def recall(self) -> float | None:
        """The share of the ink that is predicted; None without any."""
        ink = self.true_positive + self.false_negative
        return self.true_positive / ink if ink else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )


def count(predicted: NDArray[np.bool_], labels: NDArray[np.bool_]) -> Counts:
    """Count the pixels of a frame, or of some rows of it.

    Args:
        predicted: (rows, columns).
        labels: (rows, columns).

    Raises:
        DataError: they have different shapes.
    """
    if predicted.shape != labels.shape:
        raise DataError(
            f"metric: a prediction of {predicted.shape[0]} rows by {predicted.shape[1]} columns, "
            f"expected {labels.shape[0]} by {labels.shape[1]} as the labels have; predict the "
            "whole frame"
        )
    rows = max(1, _BLOCK // max(1, labels.shape[1]))
    both = positive = ink = 0
    for top in range(0, len(labels), rows):
        guess, truth = predicted[top : top + rows], labels[top : top + rows]
        both += int(np.count_nonzero(guess & truth))
        positive += int(np.count_nonzero(guess))
        ink += int(np.count_nonzero(truth))
    return Counts(both, positive - both, ink - both)


def f_beta(predicted: NDArray[np.bool_], labels: NDArray[np.bool_]) -> float:
    """Return the F0.5 of a predicted mask, (rows, columns).

    Raises:
        DataError: prediction and labels have different shapes.
    """
    return count(predicted, labels).f_beta


def mean_score(scores: Iterable[float]) -> float:
    """Return the score of several fragments, the mean of theirs.

    Raises:
        DataError: there is none.
    """
    found = list(scores)
    if not found:
        raise DataError("metric: there is no fragment, expected one or more to score")
    return sum(found) / len(found)
