"""The metric: planted counts, scikit-learn's fraction, and the real labels' exact scores."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.scoring.metric import Counts, count, f_beta, mean_score
from lsdc.errors import DataError


def test_counts_give_the_fraction_without_smoothing() -> None:
    assert Counts(3, 1, 2).f_beta == pytest.approx(0.714285714286, abs=1e-12)
    assert Counts(0, 1, 0).f_beta == 0
    assert Counts(0, 0, 1).f_beta == 0
    assert Counts(7, 0, 0).f_beta == 1


def test_nothing_predicted_of_nothing_is_right() -> None:
    empty = np.zeros((4, 5), dtype=bool)
    assert f_beta(empty, empty) == 1


def test_it_is_scikit_learns_fbeta() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        labels, predicted = rng.random((2, 31, 17)) < rng.uniform(0.1, 0.9, (2, 1, 1))
        expected = fbeta_score(labels.ravel(), predicted.ravel(), beta=0.5)
        assert f_beta(predicted, labels) == pytest.approx(expected, abs=1e-12)


def test_precision_counts_more_than_recall() -> None:
    assert Counts(50, 0, 50).f_beta > Counts(50, 50, 0).f_beta
    assert (Counts(50, 0, 50).precision, Counts(50, 0, 50).recall) == (1, 0.5)
    assert (Counts(0, 0, 5).precision, Counts(0, 5, 0).recall) == (None, None)


def test_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    rng = np.random.default_rng(5)
    labels, predicted = rng.random((2, 40, 30)) < 0.4
    parts = [count(predicted[rows], labels[rows]) for rows in (slice(0, 7), slice(7, 40))]
    assert parts[0] + parts[1] == count(predicted, labels)


def test_another_frame_is_refused() -> None:
    with pytest.raises(DataError, match="of 3 rows by 4 columns, expected 4 by 3 as the labels"):
        count(np.zeros((3, 4), dtype=bool), np.zeros((4, 3), dtype=bool))


def test_the_score_is_the_mean_of_fragments_and_needs_one() -> None:
    assert mean_score([0.5, 1.0]) == 0.75
    with pytest.raises(DataError, match="no fragment"):
        mean_score([])


def test_real_labels_have_the_exact_scores(real_data: Path) -> None:
    labels = read_mask(real_data / "ink" / "inklabels-fragment1.png")
    assert labels.shape == (8181, 6330)
    ones = count(np.ones_like(labels), labels)
    assert ones == Counts(5_339_364, 46_446_366, 0)
    assert ones.f_beta == pytest.approx(0.125642568865, abs=1e-12)
    share = 5_339_364 / labels.size
    assert ones.f_beta == pytest.approx(1.25 * share / (1 + 0.25 * share), abs=1e-12)
    right = np.zeros_like(labels)
    right[:, 10:] = labels[:, :-10]
    moved = count(right, labels)
    assert moved == Counts(5_065_106, 274_258, 274_258)
    assert moved.f_beta == pytest.approx(0.948634706306, abs=1e-12)
    assert count(labels, labels).f_beta == 1
    assert count(~labels, labels).f_beta == 0
