"""The conversion between patient space and the spine's own frame."""

import numpy as np
import pytest

from lsdc.challenges.lumbar.phantom.anatomy import Spine, draw_patient


@pytest.fixture(params=range(4))
def spine(request: pytest.FixtureRequest) -> Spine:
    rng = np.random.default_rng(request.param)
    return Spine(draw_patient(rng.integers(0, 3, (5, 5)).astype(np.int8), rng))


def test_conversion_to_patient_space_and_back_is_exact(spine: Spine) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-40.0, -60.0, -90.0], [40.0, 50.0, 90.0], (500, 3))
    assert spine.to_spine(spine.to_patient(points)) == pytest.approx(points, abs=0.01)


def test_left_of_the_spine_is_left_of_the_patient(spine: Spine) -> None:
    left, right = spine.to_patient(np.array([[20.0, 0.0, 0.0], [-20.0, 0.0, 0.0]]))
    assert left[0] > right[0]


def test_back_is_plus_y_and_down_is_minus_z(spine: Spine) -> None:
    middle, back, below = spine.to_patient(
        np.array([[0.0, 0.0, 0.0], [0.0, 30.0, 0.0], [0.0, 0.0, 30.0]])
    )
    assert back[1] > middle[1]
    assert below[2] < middle[2]
