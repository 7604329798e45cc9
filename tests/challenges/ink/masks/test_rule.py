"""Rules: thresholds, regions that are removed, at full size and reduced."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lsdc.challenges.ink.masks.rule import Rule, make_mask
from lsdc.challenges.ink.masks.shrink import enlarge, shrink, sum_cells

Array = NDArray[np.float16]


def island_map() -> Array:
    """Return a map of 96 x 128 px: two islands of 30 x 30 and one of 4 x 4, by their heights."""
    found = np.full((96, 128), 0.1, np.float16)
    found[10:40, 10:40] = 0.9
    found[10:40, 80:110] = 0.6
    found[70:74, 70:74] = 0.95
    return found


EVERYWHERE = np.ones((96, 128), bool)


def areas(rule: Rule, values: Array | None = None) -> int:
    return int(make_mask(island_map() if values is None else values, EVERYWHERE, rule).sum())


@pytest.mark.parametrize(
    ("rule", "area"),
    [
        (Rule("value", 0.5), 900 + 900 + 16),
        (Rule("value", 0.8), 900 + 16),
        (Rule("value", 0.5, min_region_px=17), 1800),
        (Rule("value", 0.5, min_region_px=16), 1816),
        (Rule("value", 0.5, top=0.8), 900 + 16),
        (Rule("value", 0.5, top=0.8, min_region_px=100), 900),
        (Rule("value", 0.5, top=0.99), 0),
        (Rule("quantile", 1 - 916 / (96 * 128)), 916),
        (Rule("quantile", 0.1, top=1.0), 96 * 128),  # all is one region, and has the peak
    ],
)
def test_a_rule_keeps_what_it_says(rule: Rule, area: int) -> None:
    assert areas(rule) == area


def test_nothing_is_ink_outside_the_mask() -> None:
    inside = EVERYWHERE.copy()
    inside[:, :64] = False
    for rule in (Rule("value", 0.5), Rule("quantile", 0.0), Rule("value", 0.5, shrink=8)):
        assert not make_mask(island_map(), inside, rule)[:, :64].any()


def test_a_quantile_is_taken_inside_the_mask() -> None:
    inside = np.zeros((96, 128), bool)
    inside[10:40, 10:70] = True  # half of it the first island
    assert make_mask(island_map(), inside, Rule("quantile", 0.5)).sum() == 900


@pytest.mark.parametrize("quantile", [0.5, 0.82, 0.93])
@pytest.mark.parametrize("saturated", [0.0, 0.13])
def test_a_quantile_is_that_of_the_winning_code_but_for_ties(
    quantile: float, saturated: float
) -> None:
    random = np.random.default_rng(0)
    values = random.permutation(np.arange(10_000) / 10_000)
    values = np.minimum(values, 1 - saturated).reshape(100, 100).astype(np.float16)
    inside = random.random(values.shape) < 0.6
    exact = values.astype(np.float64)
    above = (exact > np.quantile(exact[inside], quantile)) & inside
    found = make_mask(values, inside, Rule("quantile", quantile))
    if quantile < 1 - saturated:
        assert (found != above).sum() < 10  # pixels of one value
    else:
        assert not above.any()
        assert np.array_equal(found, (exact == exact.max()) & inside)


def test_a_quantile_by_squares_takes_each_by_itself() -> None:
    found = make_mask(island_map(), EVERYWHERE, Rule("quantile", 0.9, block_px=64))
    # In the right half at the top, the lower island is the highest.
    assert found[10:40, 80:110].all()
    assert not make_mask(island_map(), EVERYWHERE, Rule("quantile", 0.93))[10:40, 80:110].any()


def test_regions_that_touch_at_a_corner_are_one() -> None:
    values = np.zeros((96, 128), np.float16)
    values[0:10, 0:10] = values[10:20, 10:20] = 0.9
    assert areas(Rule("value", 0.5, min_region_px=200), values) == 200


@pytest.mark.parametrize("factor", [4, 8, 32])
def test_a_shrunk_rule_removes_small_regions_and_keeps_the_large_ones(factor: int) -> None:
    found = make_mask(
        island_map(), EVERYWHERE, Rule("value", 0.4, shrink=factor, min_region_px=300)
    )
    assert not found[70:74, 70:74].any()
    if factor < 32:
        assert found[14:36, 14:36].all()
        assert abs(int(found.sum()) - 1800) < 0.35 * 1800


def test_cells_at_far_edges_may_be_incomplete() -> None:
    values = np.random.default_rng(0).random((37, 50)).astype(np.float16)
    small = shrink(values, np.ones(values.shape, bool), 8)
    assert small.probabilities.shape == (5, 7)
    assert float(small.probabilities[-1, -1]) == pytest.approx(values[32:, 48:].mean(), abs=2e-3)
    assert sum_cells(values, 8).sum() == pytest.approx(values.astype(np.float64).sum(), rel=1e-5)


def test_a_shrunk_map_is_the_mean_of_what_is_inside() -> None:
    values, inside = np.ones((16, 16), np.float16), np.zeros((16, 16), bool)
    inside[:3, :3] = True
    small = shrink(values, inside, 8)
    assert small.inside.tolist() == [[True, False], [False, False]]
    assert small.probabilities.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("shape", [(320, 256), (313, 250), (2100, 70)])
def test_an_enlarged_mask_lies_where_its_cells_were(shape: tuple[int, int]) -> None:
    factor = 8
    cells = np.random.default_rng(0).random((-(-shape[0] // factor), -(-shape[1] // factor))) < 0.5
    large = enlarge(cells, factor, shape)
    assert large.shape == shape
    middles = np.ix_(range(factor // 2, shape[0], factor), range(factor // 2, shape[1], factor))
    assert np.array_equal(large[middles], cells[: len(middles[0]), : middles[1].shape[1]])
    assert enlarge(np.ones_like(cells), factor, shape).all()


def test_a_shifted_mask_gives_a_shifted_enlargement() -> None:
    cells = np.zeros((80, 40), bool)
    cells[20:30, 10:20] = True
    large = enlarge(cells, 8, (640, 320))
    moved = enlarge(np.roll(cells, (33, 5), (0, 1)), 8, (640, 320))
    assert np.array_equal(np.roll(large, (33 * 8, 5 * 8), (0, 1)), moved)
    rows, columns = np.nonzero(large)
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (20 * 8 + 30 * 8 - 1, 239)
