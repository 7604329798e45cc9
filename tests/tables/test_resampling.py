"""Intervals by drawing groups: means of the drawn groups, paired between runs."""

import numpy as np
import pytest

from lsdc.tables.resampling import Difference, Interval, Sums, interval, resample


def sums(losses: np.ndarray, weights: np.ndarray | None = None) -> Sums:
    return Sums(losses, np.ones_like(losses) if weights is None else weights)


def test_each_draw_is_the_weighted_mean_of_the_drawn_groups() -> None:
    random = np.random.default_rng(0)
    losses, weights = random.random((2, 7, 3))
    found = resample([Sums(losses, weights)], draws=300, seed=5)
    again = np.random.default_rng(5)
    chosen = np.concatenate([again.integers(7, size=(size, 7)) for size in (250, 50)])
    expected = losses[chosen].sum(axis=1) / weights[chosen].sum(axis=1)
    assert found.shape == (1, 300, 3)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_runs_that_differ_by_a_constant_differ_by_it_in_every_draw() -> None:
    losses = np.random.default_rng(1).random((30, 2))
    first, other = resample([sums(losses), sums(losses + 0.25)], draws=50)
    np.testing.assert_allclose(other - first, 0.25, atol=1e-12)
    assert first.std() > 0


def test_part_without_weight_in_a_draw_is_left_out_of_its_interval() -> None:
    losses = np.ones((3, 1))
    weights = np.array([[1.0], [0.0], [0.0]])
    losses[1:] = 0
    found = resample([Sums(losses, weights)], draws=200)
    assert np.isnan(found).any()
    assert interval(found[0, :, 0]) == Interval(1.0, 1.0)


@pytest.mark.parametrize(
    ("span", "sure"),
    [(Interval(0.1, 0.2), True), (Interval(-0.2, -0.1), True), (Interval(-0.1, 0.1), False)],
)
def test_difference_is_sure_if_its_interval_has_no_zero(span: Interval, sure: bool) -> None:
    assert Difference(0.0, span).sure is sure
    assert not Difference(None, None).sure
