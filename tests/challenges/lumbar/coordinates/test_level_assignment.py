"""Level assignment: the choice of a study's levels among the candidates."""

import numpy as np
import pytest

from lsdc.challenges.lumbar.coordinates.level_assignment import UNSEEN_SHARE, View, chain_of_views

SPINE = np.array([[3.0, 40.0 + 2 * k, -100.0 - 35.0 * k] for k in range(5)])
ABOVE, BELOW = SPINE[0] + [0, 0, 35.0], SPINE[4] - [0, 0, 35.0]
LEFTWARD, UPWARD = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


def shares(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=float)


def sagittal(places: np.ndarray, own: np.ndarray) -> View:
    return View(np.asarray(places, dtype=float), own, LEFTWARD)


def test_confident_predictions_are_kept() -> None:
    chain = chain_of_views([sagittal(SPINE, 0.9 * np.eye(5))])
    np.testing.assert_allclose(chain.points_mm, SPINE)
    assert (chain.confidence > 0.9).all()
    assert chain.shifted < 0.01


def test_two_exchanged_levels_are_corrected_by_the_others() -> None:
    own = 0.9 * np.eye(5)
    own[1] = [0.0, 0.3, 0.6, 0.0, 0.0]  # at L2/L3 the net predicts L3/L4 ...
    own[2] = [0.0, 0.6, 0.3, 0.0, 0.0]  # ... and at L3/L4 it predicts L2/L3
    chain = chain_of_views([sagittal(SPINE, own)])
    np.testing.assert_allclose(chain.points_mm, SPINE)


def test_candidate_order_does_not_matter() -> None:
    order = [3, 0, 4, 2, 1]
    chain = chain_of_views([sagittal(SPINE[order], 0.9 * np.eye(5)[order])])
    np.testing.assert_allclose(chain.points_mm, SPINE)


def test_levels_always_descend() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        places = SPINE[2] + rng.normal(0, 50, (6, 3))
        own = rng.dirichlet(np.ones(6), 5).T * 0.9
        points = chain_of_views([sagittal(places, own)]).points_mm
        seen = points[np.isfinite(points[:, 0])]
        assert (np.diff(seen[:, 2]) < 0).all()


@pytest.mark.parametrize("hidden", [0, 2, 4])
def test_level_without_a_candidate_is_not_seen(hidden: int) -> None:
    kept = [level for level in range(5) if level != hidden]
    chain = chain_of_views([sagittal(SPINE[kept], 0.9 * np.eye(5)[kept])])
    assert np.isnan(chain.points_mm[hidden]).all()
    assert chain.confidence[hidden] == 0
    np.testing.assert_allclose(chain.points_mm[kept], SPINE[kept])


def test_no_views_or_empty_views_give_no_levels() -> None:
    for views in ([], [View(np.zeros((0, 3)), np.zeros((0, 5)), LEFTWARD)]):
        chain = chain_of_views(views)
        assert np.isnan(chain.points_mm).all()
        assert (chain.confidence == 0).all()


def test_one_view_fills_the_missing_levels_of_another() -> None:
    upper = sagittal(SPINE[:3], 0.9 * np.eye(5)[:3])
    lower = sagittal(SPINE[2:], 0.9 * np.eye(5)[2:])
    np.testing.assert_allclose(chain_of_views([upper, lower]).points_mm, SPINE)


def test_perpendicular_views_locate_a_point_together() -> None:
    # Each view is off by 3 mm across its own slices.
    off_left = sagittal(SPINE + 3 * LEFTWARD, 0.9 * np.eye(5))
    off_up = View(SPINE + 3 * UPWARD, 0.9 * np.eye(5), UPWARD)
    points = chain_of_views([off_left, off_up]).points_mm
    assert np.linalg.norm(points - SPINE, axis=1).max() < 1.5


def test_sixth_disc_that_fits_the_names_raises_shifted() -> None:
    places = np.concatenate([SPINE, BELOW[None]])
    own = np.zeros((6, 5))
    own[:5] += 0.5 * np.eye(5)
    own[1:] += 0.4 * np.eye(5)
    unsure = chain_of_views([sagittal(places, own)])
    assert unsure.shifted > 0.1
    np.testing.assert_allclose(unsure.points_mm, SPINE)
    own[:5] = 0.9 * np.eye(5)
    own[5] = 0.0
    own[5, 4] = UNSEEN_SHARE
    assert chain_of_views([sagittal(places, own)]).shifted < 0.01


def test_moving_the_patient_moves_the_levels() -> None:
    by = np.array([100.0, -40.0, 700.0])
    places, own = np.concatenate([ABOVE[None], SPINE]), np.full((6, 5), 0.05)
    own[1:] += 0.6 * np.eye(5)
    here, there = (chain_of_views([sagittal(at, own)]) for at in (places, places + by))
    np.testing.assert_allclose(there.points_mm - here.points_mm, np.tile(by, (5, 1)))
    np.testing.assert_allclose(there.confidence, here.confidence)
