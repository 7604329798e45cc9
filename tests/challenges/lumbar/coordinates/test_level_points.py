"""Level points: predictions are fused and completed."""

import numpy as np
import pytest

from lsdc.challenges.lumbar.coordinates.level_points import (
    complete_levels,
    fuse_views,
    median_of_models,
)

SPINE = np.array([[3.0, 40.0 + 2 * k, -100.0 - 35.0 * k] for k in range(5)])
SURE = np.full(5, 0.8)


def test_trusted_points_are_unchanged():
    points, trust, filled = complete_levels(SPINE, SURE)
    np.testing.assert_array_equal(points, SPINE)
    np.testing.assert_array_equal(trust, SURE)
    assert not filled.any()


@pytest.mark.parametrize("missing", [[0], [2], [4], [1, 2], [0, 4], [0, 1, 2]])
def test_unseen_levels_are_filled_with_less_confidence(missing):
    points = SPINE.copy()
    points[missing] = np.nan
    completed, trust, filled = complete_levels(points, np.where(np.isnan(points[:, 0]), 0, SURE))
    np.testing.assert_allclose(completed, SPINE, atol=1e-9)  # this spine is straight
    assert np.flatnonzero(filled).tolist() == missing
    assert (trust[filled] < 0.3).all()
    assert (trust > 0).all()


def test_one_seen_level_is_enough_to_fill_the_others():
    points = np.full((5, 3), np.nan)
    assert complete_levels(points, np.zeros(5)) is None
    assert complete_levels(SPINE, np.full(5, 0.01)) is None
    points[3] = SPINE[3]
    completed, _, filled = complete_levels(points, np.array([0, 0, 0, 0.9, 0]))
    assert filled.tolist() == [True, True, True, False, True]
    assert (np.diff(completed[:, 2]) < 0).all()


def test_levels_are_never_out_of_order():
    rng = np.random.default_rng(0)
    for _ in range(300):
        points = SPINE + rng.normal(0, 40, (5, 3))
        completed = complete_levels(points, rng.uniform(0, 1, 5))
        if completed is not None:
            assert (np.diff(completed[0][:, 2]) < 0).all()
            assert ((completed[1] > 0) & (completed[1] <= 1)).all()


def test_more_trusted_of_two_levels_in_wrong_order_is_kept():
    points = SPINE.copy()
    points[2] = points[3] + [0, 0, -20.0]
    trust = SURE.copy()
    trust[2] = 0.5
    completed, _, filled = complete_levels(points, trust)
    assert np.flatnonzero(filled).tolist() == [2]
    np.testing.assert_allclose(completed[2], SPINE[2], atol=1e-9)


def test_agreeing_views_are_averaged_by_confidence():
    views = np.stack([SPINE, SPINE + np.array([4.0, 0, 0])])
    points, trust = fuse_views(views, np.stack([np.full(5, 0.9), np.full(5, 0.3)]))
    np.testing.assert_allclose(points, SPINE + np.array([1.0, 0, 0]))
    assert ((trust > 0.5) & (trust <= 0.9)).all()


def test_disagreeing_view_lowers_only_the_confidence():
    views = np.stack([SPINE, SPINE + np.array([0, 0, 30.0])])
    points, trust = fuse_views(views, np.stack([np.full(5, 0.8), np.full(5, 0.4)]))
    np.testing.assert_allclose(points, SPINE)
    assert (trust < 0.6).all()


def test_single_view_is_unchanged():
    points, trust = fuse_views(SPINE[None], SURE[None])
    np.testing.assert_allclose(points, SPINE)
    np.testing.assert_allclose(trust, SURE)


def test_median_of_models_is_less_confident_where_they_disagree():
    models = np.repeat(SPINE[None], 4, axis=0)
    models[3, 1, 2] += 25.0
    models[2, 4, 2] += 2.0
    points, trust = median_of_models(models, np.repeat(SURE[None], 4, axis=0))
    np.testing.assert_allclose(points, SPINE, atol=1e-9)
    assert trust[0] == pytest.approx(0.8)
    assert trust[1] == pytest.approx(0.75 * 0.8, abs=0.01)
    assert 0.75 < trust[4] < 0.8


def test_one_model_with_levels_one_off_removes_no_point():
    rng = np.random.default_rng(0)
    models = SPINE + rng.normal(0.0, 1.0, (4, 5, 3))
    models[3] += SPINE[1] - SPINE[0]
    completed = complete_levels(*median_of_models(models, np.full((4, 5), 0.9)))
    assert completed is not None
    points, trust, filled = completed
    assert not filled.any()
    assert np.linalg.norm(points - SPINE, axis=1).max() < 2
    assert ((trust > 0.6) & (trust < 0.75)).all()


def test_models_split_in_half_give_no_levels():
    models = np.repeat(SPINE[None], 4, axis=0)
    models[2:] += SPINE[1] - SPINE[0]
    assert complete_levels(*median_of_models(models, np.full((4, 5), 0.9))) is None
