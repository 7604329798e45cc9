"""The lab log's methods of choosing slices, on series whose results can be counted by hand."""

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.choose import choose_slices
from tests.challenges.lumbar.slice_tables import AXIAL, T1, T2, by_name, slices_at

# 17 slices 4 mm apart, stored from the patient's right to the left: instance 1 at -32 mm.
FROM_RIGHT = [4.0 * step for step in range(-8, 9)]
NO_AXIAL: dict[str, Any] = {"axial_slices": 0}


def test_quantiles_by_instance_depend_on_the_stored_order() -> None:
    """Experiments 1 to 31: which side comes first depends on the stored order."""
    config = SlicesConfig(
        sagittal="quantiles", stack_order="instances", middle_slices=3, **NO_AXIAL
    )
    found = by_name(slices_at(T1, FROM_RIGHT), config, what="instance_number")
    assert found["T1 left"] == [4, 5, 6]
    assert found["T1 middle"] == [8, 9, 10]
    assert found["T1 right"] == [12, 13, 14]
    assert by_name(slices_at(T1, FROM_RIGHT), config)["T1 left"] == [-20, -16, -12]
    assert by_name(slices_at(T1, FROM_RIGHT[::-1]), config)["T1 left"] == [20, 16, 12]


def test_quantiles_by_position_start_at_the_left() -> None:
    config = SlicesConfig(sagittal="quantiles", middle_slices=3)
    for offsets in (FROM_RIGHT, FROM_RIGHT[::-1]):
        found = by_name(slices_at(T1, offsets), config)
        assert found["T1 left"] == [20, 16, 12]
        assert found["T1 middle"] == [4, 0, -4]
        assert found["T1 right"] == [-12, -16, -20]


def test_quantiles_of_30_and_70_percent_are_closer_to_the_middle() -> None:
    """Experiment 32."""
    config = SlicesConfig(sagittal="quantiles", side_quantile=0.3, middle_slices=3)
    found = by_name(slices_at(T1, [4.0 * step for step in range(10, -11, -1)]), config)
    assert found["T1 left"] == [20, 16, 12]
    assert found["T1 right"] == [-12, -16, -20]


def test_ten_slices_around_the_middle_index() -> None:
    config = SlicesConfig(
        sagittal="quantiles", stack_order="instances", side_slices=0, middle_slices=10, **NO_AXIAL
    )
    found = by_name(slices_at(T2, FROM_RIGHT), config, what="instance_number")
    assert found["T2 middle"] == list(range(4, 14))


def test_evenly_spaced_slices_over_the_series() -> None:
    config = SlicesConfig(sagittal="even", side_slices=0, middle_slices=5, **NO_AXIAL)
    found = by_name(slices_at(T1, [float(mm) for mm in range(20, -21, -1)]), config)
    assert found["T1 middle"] == [18, 9, 0, -9, -18]
    ends = config.model_copy(update={"even_quantiles": (0.0, 1.0), "middle_slices": 20})
    found = by_name(slices_at(T1, [float(mm) for mm in range(19, -1, -1)]), ends)
    assert found["T1 middle"] == list(range(19, -1, -1))


@pytest.mark.parametrize(
    ("order", "offset", "left", "right"),
    [
        ("position", 0, [20, 16, 12], [-12, -16, -20]),
        ("position", 1, [24, 20, 16], [-16, -20, -24]),
        ("position", -1, [16, 12, 8], [-8, -12, -16]),
        # A higher instance number is farther to the patient's left, on both sides.
        ("instances", 0, [12, 16, 20], [-20, -16, -12]),
        ("instances", 1, [16, 20, 24], [-16, -12, -8]),
    ],
)
def test_argmin_with_offset(order: str, offset: int, left: list[float], right: list[float]) -> None:
    config = SlicesConfig(sagittal="argmin", stack_order=order, argmin_offset=offset)
    found = by_name(slices_at(T1, FROM_RIGHT), config)
    assert found["T1 left"] == left
    assert found["T1 right"] == right
    middle = [8, 4, 0, -4, -8]
    assert found["T1 middle"] == (middle if order == "position" else middle[::-1])


def test_argmin_masks_slots_beyond_the_end_of_a_series() -> None:
    offsets = [4.0 * step for step in range(4, -3, -1)]
    found = by_name(slices_at(T1, offsets), SlicesConfig(sagittal="argmin"))
    assert found["T1 left"] == [None, 16, 12]
    assert found["T1 middle"] == [8, 4, 0, -4, -8]
    assert found["T1 right"] == [-4, -8, None]
    strict = SlicesConfig(sagittal="argmin", side_tolerance_mm=5.0)
    assert by_name(slices_at(T1, offsets), strict)["T1 right"] == [None] * 3


def test_distances_from_the_scan_middle_miss_an_off_centre_canal() -> None:
    offsets = [4.0 * step + 12.0 for step in range(-7, 8)]
    found = by_name(slices_at(T1, offsets), SlicesConfig(origin="scan"))
    assert found["T1 middle"] == [20, 16, 12, 8, 4]
    assert found["T1 left"] == [32, 28, 24]


def test_axial_argmin_takes_neighbours_in_the_same_stack() -> None:
    first = slices_at(AXIAL, [9.0, 5.0, 0.6, -4.0], series=3)
    second = slices_at(AXIAL, [2.0, -0.5, -3.0], series=3, group=1).with_columns(
        pl.col("instance_number") + 4
    )
    table = pl.concat([first, second, slices_at(AXIAL, [1.0], series=4)])
    assert by_name(table, SlicesConfig())["axial"] == [1.0, 0.6, -0.5]
    assert by_name(table, SlicesConfig(axial="argmin"))["axial"] == [2.0, -0.5, -3.0]
    at_the_end = table.with_columns(pl.col("offset_mm") + 3.2)
    config = SlicesConfig(axial="argmin")
    assert by_name(at_the_end, config)["axial"] == pytest.approx([2.7, 0.2, None])
    # By instance, the slices of the next angled stack follow those of the previous one.
    ends = table.with_columns(pl.col("offset_mm") + 4.1)
    config = SlicesConfig(axial="argmin", stack_order="instances")
    assert by_name(ends, config)["axial"] == pytest.approx([4.7, 0.1, 6.1])


@pytest.mark.parametrize(("threshold", "filled"), [(1000.0, 3), (5.0, 3), (2.5, 0)])
def test_axial_argmin_beyond_the_threshold_is_fully_masked(threshold: float, filled: int) -> None:
    """Experiments 33 to 35: none, 5 and 2.5 mm."""
    table = slices_at(AXIAL, [11.0, 3.0, -5.0, -13.0])
    config = SlicesConfig(axial="argmin", axial_tolerance_mm=threshold)
    assert len(choose_slices(table, config)) == filled


def test_axial_by_height_ignores_the_tilt_of_a_stack() -> None:
    table = slices_at(AXIAL, [8.0, 4.0, 0.0, -4.0]).with_columns(
        height_mm=pl.col("offset_mm") - 8.0
    )
    config = SlicesConfig(axial="height", axial_slices=1)
    assert by_name(table, config)["axial"] == [8.0]


def test_axial_by_proportion_uses_the_relative_height_in_the_t2_image() -> None:
    shares = pl.concat([slices_at(T1, [0.0]), slices_at(T2, [0.0], series=2)]).with_columns(
        image_share=pl.Series([0.9, 0.26])
    )
    long = slices_at(AXIAL, [50.0 - 5.0 * step for step in range(21)], series=3)
    short = slices_at(AXIAL, [0.0] * 1, series=4)
    config = SlicesConfig(axial="proportion")
    assert by_name(pl.concat([shares, long, short]), config)["axial"] == [30, 25, 20]
    assert by_name(pl.concat([long, short]), config)["axial"] == [None] * 3
    upwards = slices_at(AXIAL, [50.0 - 5.0 * step for step in range(21)][::-1], series=3)
    stored = SlicesConfig(axial="proportion", stack_order="instances")
    assert by_name(pl.concat([shares, upwards]), stored)["axial"] == [-30, -25, -20]


@pytest.mark.parametrize(
    ("settings", "because"),
    [
        ({"side_slices": 0, "middle_slices": 0, "axial_slices": 0}, "no slices"),
        ({"side_tolerance_mm": 20.0}, "reaches across the canal"),
        ({"sagittal": "even"}, "'even' has no sides"),
        ({"sagittal": "even", "side_slices": 0, "even_quantiles": (0.9, 0.1)}, "first <= last"),
        ({"argmin_offset": 1}, "argmin_offset has no effect here: .* sagittal argmin"),
        ({"sagittal": "quantiles", "origin": "scan"}, "origin has no effect here"),
        ({"stack_order": "instances"}, "stack_order has no effect here"),
        ({"side_quantile": 0.3}, "side_quantile has no effect here"),
    ],
)
def test_contradictory_slice_settings_are_refused(settings: dict[str, Any], because: str) -> None:
    with pytest.raises(ValidationError, match=because):
        SlicesConfig(**settings)
