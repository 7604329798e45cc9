"""Levels: exact histograms of float16, and quantiles with ties."""

import numpy as np
import pytest

from lsdc.challenges.ink.masks.levels import (
    LEVELS,
    NEVER,
    at_least,
    count_levels,
    level_at_quantile,
    level_of,
    levels_at_quantiles,
    levels_of,
    value_of,
)


def histogram(values: np.ndarray) -> np.ndarray:
    found = values.astype(np.float16).reshape(1, -1)
    return count_levels(found, np.ones(found.shape, bool), None)


def test_levels_are_in_the_order_of_the_values() -> None:
    values = np.linspace(0, 1, 5001).astype(np.float16)
    levels = levels_of(values).astype(int)
    assert (np.diff(levels) >= 0).all()
    assert (levels[0], levels[-1]) == (0, LEVELS - 1)
    assert [value_of(level) for level in levels[::500]] == values[::500].tolist()


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 0.5, 0.7001, 1.0])
def test_a_level_of_a_value_is_the_first_that_reaches_it(value: float) -> None:
    level = level_of(value)
    assert value_of(level) >= value
    assert level == 0 or value_of(level - 1) < value


def test_counts_add_up_over_pixels_inside_the_mask_alone() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((2500, 7)).astype(np.float16)
    inside = rng.random((2500, 7)) < 0.4
    weights = rng.integers(0, 5, (2500, 7)).astype(np.float32)
    counts = count_levels(values, inside, None)
    assert counts.sum() == inside.sum()
    assert at_least(counts)[level_of(0.5)] == (values[inside] >= 0.5).sum()
    assert count_levels(values, inside, weights).sum() == weights[inside].sum()


@pytest.mark.parametrize("quantile", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_without_ties_a_quantile_leaves_its_share_below(quantile: float) -> None:
    # One value a pixel, all different.
    values = np.arange(1, 2001).astype(np.uint16).view(np.float16)
    level = level_at_quantile(histogram(values), quantile)
    share = (levels_of(values) >= level).mean()
    assert share == pytest.approx(1 - quantile, abs=1 / len(values))


@pytest.mark.parametrize(
    ("quantile", "share"),
    [(0.0, 0.6), (0.3, 0.6), (0.5, 0.6), (0.62, 0.2), (0.81, 0.2), (0.95, 0.2), (1.0, 0.2)],
)
def test_equal_values_stay_together_and_the_nearest_share_is_taken(
    quantile: float, share: float
) -> None:
    values = np.repeat([0.0, 0.5, 1.0], [40, 40, 20])  # zeros are no ink at any quantile
    level = level_at_quantile(histogram(values), quantile)
    assert (levels_of(values.astype(np.float16)) >= level).mean() == share


def test_a_map_of_zeros_has_no_ink_at_any_quantile() -> None:
    found = levels_at_quantiles(histogram(np.zeros(10)), np.array([0.0, 0.5, 1.0]))
    assert (found == NEVER).all()


def test_quantiles_do_not_depend_on_the_size_of_the_map() -> None:
    # np.quantile of as many float16 overflows.
    values = np.repeat(np.linspace(0.01, 1, 100), 700)
    level = level_at_quantile(histogram(values), 0.9)
    assert value_of(level) == pytest.approx(0.91, abs=1e-3)
