"""Means of members, with equal and with fitted weights."""

import numpy as np
import pytest

from lsdc.challenges.lumbar.ensemble.blend import blend
from lsdc.challenges.lumbar.ensemble.grid import KIND_OF
from lsdc.challenges.lumbar.ensemble.weights import Weights
from lsdc.challenges.lumbar.scoring.metric import POOLED
from tests.challenges.lumbar.ensemble.made import kind_loss, make_grades, make_values

GRADES = make_grades(60)


def members(*strengths: float) -> np.ndarray:
    return np.stack([make_values(GRADES, each, seed) for seed, each in enumerate(strengths)])


def test_row_is_the_mean_of_the_members_that_have_it() -> None:
    values = members(1, 1, 1)
    values[0, :, 0] = np.nan
    values[:2, 0, 1] = np.nan
    values[:, 5, 2, 3] = np.nan
    mean = Weights.equal(3).predict(values)
    np.testing.assert_allclose(mean[:, 0], values[1:, :, 0].mean(0), atol=1e-15)
    np.testing.assert_allclose(mean[0, 1], values[2, 0, 1], atol=1e-15)
    np.testing.assert_allclose(mean[1:, 3], values[:, 1:, 3].mean(0), atol=1e-15)
    assert np.isnan(mean[5, 2, 3]).all()
    assert np.isnan(mean).sum() == 3


def test_weights_that_are_zero_leave_members_out() -> None:
    values = members(1, 2)
    np.testing.assert_array_equal(blend(values, np.array([0, 1])[:, None, None, None]), values[1])


def test_useful_member_gets_the_weight_and_noise_little() -> None:
    values = members(0, 2.5, 0)
    fitted = Weights.fit(values, GRADES)
    for weights in fitted.by_kind.values():
        assert sum(weights) == pytest.approx(1)
        assert min(weights) >= 0
        assert weights[1] > 0.8


def test_fitted_weights_are_no_worse_than_equal_ones_where_they_are_fitted() -> None:
    values = members(0.5, 2, 1)
    fitted, equal = Weights.fit(values, GRADES).predict(values), Weights.equal(3).predict(values)
    for kind in range(len(POOLED)):
        assert kind_loss(kind, fitted, GRADES) < kind_loss(kind, equal, GRADES)


def test_each_condition_has_its_own_weights() -> None:
    values = members(0, 0)
    canal = POOLED.index("spinal") == KIND_OF
    for member, own in ((0, canal), (1, ~canal)):
        values[member][:, own] = make_values(GRADES, 3, 7)[:, own]
    fitted = Weights.fit(values, GRADES).by_kind
    assert fitted["spinal"][0] > 0.8
    assert fitted["foraminal"][1] > 0.8


def test_member_of_the_canal_alone_keeps_its_rows_and_no_others() -> None:
    values = members(2, 2)
    canal = POOLED.index("spinal") == KIND_OF
    values[0][:, ~canal] = np.nan
    fitted = Weights.fit(values, GRADES)
    assert fitted.by_kind["foraminal"] == (0.5, 0.5)  # nothing to choose from
    np.testing.assert_allclose(fitted.predict(values)[:, ~canal], values[1][:, ~canal], atol=1e-15)
