"""Stacks: order and distances along the normal, with tilt, ties and missing positions."""

import math
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdc.challenges.hemorrhage.index.stacks import arrange_stacks
from lsdc.challenges.hemorrhage.index.tables import ReadImages


def stack_of(
    heights: list[float | None], *, tilt: float = 0.0, study: str = "s", flip: bool = False
) -> pl.DataFrame:
    """Return images of one series whose positions differ in z alone; None is no position."""
    turn = math.radians(tilt)
    sign = -1.0 if flip else 1.0
    orientation = [sign, 0.0, 0.0, 0.0, math.cos(turn), -math.sin(turn)]
    count = len(heights)
    return pl.DataFrame(
        {
            "split": ["train"] * count,
            "path": [f"/{study}/{n}" for n in range(count)],
            "image_id": [f"{n:03d}" for n in range(count)],
            "study_id": [study] * count,
            "series_id": ["1"] * count,
            "patient": ["0" * 16] * count,
            "rows": [16] * count,
            "columns": [16] * count,
            "orientation": [orientation] * count,
            "position_mm": [None if z is None else [-120.0, 24.0, z] for z in heights],
            "has_patient_id": [True] * count,
            "id_mismatch": [False] * count,
        },
        schema_overrides=pl.Schema(ReadImages),
    ).select(
        pl.col(name) if name in _COLUMNS else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in pl.Schema(ReadImages).items()
    )


_COLUMNS = {
    *("split", "path", "image_id", "study_id", "series_id", "patient", "rows", "columns"),
    *("orientation", "position_mm", "has_patient_id", "id_mismatch"),
}
_HEIGHTS = st.lists(st.integers(-300, 300).map(lambda mm: mm * 2.5), min_size=1, max_size=30)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("tilt", [-24.0, 0.0, 14.0, 26.0])
def test_step_is_the_difference_of_z_times_the_cosine_of_the_tilt(tilt: float, flip: bool) -> None:
    found = arrange_stacks(stack_of([147.9, 137.6, 142.75, 158.2], tilt=tilt, flip=flip))
    assert found["image_id"].to_list() == ["001", "002", "000", "003"]  # from feet to head
    steps = np.array([5.15, 5.15, 10.3]) * math.cos(math.radians(tilt))
    np.testing.assert_allclose(found["step_mm"].to_list()[:3], steps, atol=1e-9)
    assert found["step_mm"][3] is None
    np.testing.assert_allclose(found["tilt_degrees"], abs(tilt), atol=1e-9)


@given(_HEIGHTS, st.floats(-30, 30), st.randoms())
def test_order_does_not_depend_on_the_order_of_the_rows(
    heights: list[float], tilt: float, random: Random
) -> None:
    images = stack_of(list(heights), tilt=tilt)
    found = arrange_stacks(images)
    places = list(range(len(images)))
    random.shuffle(places)
    assert arrange_stacks(images[places]).equals(found)
    assert found["order"].to_list() == list(range(len(images)))
    z = [heights[int(image)] for image in found["image_id"]]
    assert z == sorted(heights)
    steps = found["step_mm"].to_list()[:-1]
    np.testing.assert_allclose(
        sum(steps), (max(heights) - min(heights)) * math.cos(math.radians(tilt)), atol=1e-6
    )
    tied = [heights.count(height) > 1 for height in z]
    assert found["tied"].to_list() == tied


def test_images_at_one_position_are_ordered_by_number_then_id() -> None:
    images = stack_of([5.0, 0.0, 5.004, 0.0, 10.0], tilt=10)
    numbered = images.with_columns(instance_number=pl.Series([7, None, 3, None, 1]))
    found = arrange_stacks(numbered)
    assert found["image_id"].to_list() == ["001", "003", "002", "000", "004"]
    assert found["tied"].to_list() == [True, True, True, True, False]
    assert found["step_mm"].to_list()[::2][:2] == [0.0, 0.0]


def test_images_without_a_position_come_last() -> None:
    found = arrange_stacks(stack_of([5.0, None, 0.0, None]))
    assert found["image_id"].to_list() == ["002", "000", "001", "003"]
    assert found["along_mm"].to_list() == [0.0, 5.0, None, None]
    assert found["step_mm"].to_list() == [5.0, None, None, None]
    assert not found["tied"].any()


def test_series_without_any_position_is_ordered_by_id() -> None:
    found = arrange_stacks(stack_of([None, None]))
    assert found["order"].to_list() == [0, 1]
    assert found["tilt_degrees"].to_list() == [None, None]


def test_direction_of_most_images_is_the_normal_of_the_series() -> None:
    most, other = stack_of([0.0, 5.0, 10.0], tilt=20), stack_of([2.5], tilt=-60)
    other = other.with_columns(path=pl.lit("/other"), image_id=pl.lit("z"))
    found = arrange_stacks(pl.concat([other, most]))
    assert found["image_id"].to_list() == ["000", "z", "001", "002"]
    np.testing.assert_allclose(found["along_mm"].diff().sum(), 10 * math.cos(math.radians(20)))
    np.testing.assert_allclose(found["tilt_degrees"], [20, 60, 20, 20])


def test_series_are_arranged_apart() -> None:
    both = [stack_of([5.0, 0.0], study="a", tilt=10), stack_of([3.0, 1.0], study="b", tilt=-20)]
    found = arrange_stacks(pl.concat(both[::-1]))
    assert found.equals(pl.concat(map(arrange_stacks, both)))


def test_no_images_give_an_empty_table() -> None:
    assert len(arrange_stacks(ReadImages.create_empty())) == 0
