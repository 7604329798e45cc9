"""The head without bleeding: densities, thicknesses and places."""

import numpy as np
import pytest

from lsdc.challenges.hemorrhage.phantom.patient import draw_patient, floor_mm
from tests.challenges.hemorrhage.phantom.scenes import (
    COUNT,
    SPACING_MM,
    depth_mm,
    frame_mm,
    render,
    slice_at,
)


def hu_at(x_mm: float, y_mm: float, z_mm: float) -> float:
    """Return the mean HU of nine pixels around a place in the head's frame."""
    number = slice_at(z_mm)
    x, y, _ = frame_mm(number)
    row, column = np.unravel_index(np.argmin((x - x_mm) ** 2 + (y - y_mm) ** 2), x.shape)
    hu = render((), number).hu
    return float(hu[row - 1 : row + 2, column - 1 : column + 2].mean())


def test_brain_has_the_median_density_of_real_ones() -> None:
    number = slice_at(35.0)
    brain = render((), number).hu[depth_mm(number) > 4]
    assert 25 < np.median(brain) < 34
    assert np.quantile(brain, 0.05) > 2
    assert np.quantile(brain, 0.95) < 50


def test_bone_has_a_median_density_of_about_950() -> None:
    number = slice_at(30.0)
    hu = render((), number).hu
    bone = hu[(hu > 300) & (depth_mm(number) > -12)]
    assert 700 < np.median(bone) < 1200
    assert bone.max() < 1900


def test_skull_is_5_to_10_mm_thick_and_thinner_at_the_temples() -> None:
    thickness = {}
    for z_mm in (5.0, 30.0):
        number = slice_at(z_mm)
        hu, (x, y, _) = render((), number).hu, frame_mm(number)
        side = hu[np.argmin(np.abs(y[:, 0] - 5))] > 400
        front = hu[:, np.argmin(np.abs(x[0] - 15))] > 400
        thickness[z_mm] = (
            float(side[x[0] > 0].sum()) * SPACING_MM,
            float(front[y[:, 0] < 0].sum()) * SPACING_MM,
        )
    for side_mm, front_mm in thickness.values():
        assert 3 < side_mm < 12
        assert 4 < front_mm < 14
    assert thickness[5.0][0] <= thickness[30.0][0]


def test_fluid_lies_in_the_ventricles_and_white_matter_beside_them() -> None:
    assert hu_at(9.0, 5.0, 20.0) < 14
    assert hu_at(-9.0, 5.0, 20.0) < 14
    assert 23 < hu_at(26.0, 0.0, 32.0) < 33


def test_outside_the_head_is_air_and_a_head_holder_behind_it() -> None:
    number = slice_at(20.0)
    hu, (x, y, _) = render((), number).hu, frame_mm(number)
    assert hu[2, 2] == pytest.approx(-1000)
    behind = hu[:, np.argmin(np.abs(x[0]))][y[:, 0] > 96]
    assert behind.max() > 0  # brighter than soft tissue
    in_front = hu[:, np.argmin(np.abs(x[0]))][y[:, 0] < -104]
    assert in_front.max() < -900


def test_base_has_three_pits_a_side_by_side_and_ridges_between() -> None:
    x, y = (np.array(values, dtype=np.float32) for values in ([37, 37, 37, 0], [-9, 12, 40, 40]))
    middle, ridge, posterior, _ = floor_mm(x, y)
    assert middle < -38
    assert posterior < -45
    assert ridge > middle + 8
    assert np.array_equal(floor_mm(-x, y), floor_mm(x, y))


def test_face_has_air_filled_sinuses_and_fat_behind_the_eyes() -> None:
    assert hu_at(0.0, -14.0, -38.0) < -700
    assert hu_at(24.0, -52.0, -36.0) < -20
    assert -5 < hu_at(32.0, -73.0, -36.0) < 35


def test_above_the_vertex_there_is_no_head() -> None:
    hu = render((), COUNT - 1).hu
    assert (hu > 300).sum() == 0


def test_patients_differ_in_atrophy_calcification_and_contrast_medium() -> None:
    patients = [draw_patient(np.random.default_rng(seed)) for seed in range(60)]
    assert np.ptp([patient.atrophy for patient in patients]) > 0.5
    assert {patient.enhanced for patient in patients} == {True, False}
    assert {patient.ganglia_calcified for patient in patients} == {True, False}


def test_decoys_are_as_dense_as_blood_or_denser() -> None:
    number = slice_at(9.0)
    inside = depth_mm(number) > 15
    assert render((), number).hu[inside].max() > 60  # choroid plexus or pineal gland
