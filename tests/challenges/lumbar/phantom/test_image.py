"""Images: grades change them as expected, and all views show the same spine."""

import numpy as np
import pytest

from lsdc.challenges.lumbar.phantom.anatomy import Spine, draw_patient
from lsdc.challenges.lumbar.phantom.image import Scene, SlicePlane
from lsdc.challenges.lumbar.phantom.tissues import TISSUES, Contrast


def scene_of(grade: int, condition: int, seed: int = 0) -> Scene:
    grades = np.zeros((5, 5), dtype=np.int8)
    grades[condition] = grade
    return Scene(Spine(draw_patient(grades, np.random.default_rng(seed))))


def plane_through(point_mm: np.ndarray, across: str, side_mm: float = 30.0) -> SlicePlane:
    """Return a square plane of 0.5 mm pixels around a point, along the patient's axes."""
    row_direction = np.array([0.0, 1.0, 0.0] if across == "x" else [1.0, 0.0, 0.0])
    column_direction = np.array([0.0, 0.0, -1.0] if across == "x" else [0.0, 1.0, 0.0])
    corner = point_mm - (row_direction + column_direction) * side_mm / 2
    count = int(side_mm * 2)
    return SlicePlane(corner, row_direction, column_direction, (0.5, 0.5), (count, count))


def bright_mm2(scene: Scene, plane: SlicePlane, contrast: Contrast, above: float) -> float:
    image = next(scene.slices([plane], TISSUES[contrast]))
    return float((image > above).sum()) * 0.25


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0, 3, 4])
def test_canal_has_less_fluid_with_a_worse_grade(level: int, seed: int) -> None:
    areas = []
    for grade in range(3):
        scene = scene_of(grade, 0, seed)
        plane = plane_through(scene.spine.canal_points_mm()[level], "z", 16.0)
        areas.append(bright_mm2(scene, plane, Contrast.STIR, 0.55))
    assert areas[0] > areas[1] > areas[2]
    assert areas[2] < 0.45 * areas[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("side", [0, 1])
def test_foramen_has_less_fat_with_a_worse_grade(side: int, seed: int) -> None:
    areas, other = [], []
    for grade in range(3):
        scene = scene_of(grade, 1 + side, seed)
        points = scene.spine.foramen_points_mm()[:, 2]
        for point, found in ((points[side], areas), (points[1 - side], other)):
            plane = plane_through(point, "x", 14.0)
            found.append(bright_mm2(scene, plane, Contrast.T1, 0.65))
    assert areas[0] > areas[1] > areas[2]
    assert areas[2] < 0.5 * areas[0]
    assert min(other) > 0.9 * max(other)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("side", [0, 1])
def test_recess_is_narrower_with_a_worse_grade(side: int, seed: int) -> None:
    areas = []
    for grade in range(3):
        scene = scene_of(grade, 3 + side, seed)
        plane = plane_through(scene.spine.recess_points_mm()[side, 1], "z", 7.0)
        areas.append(bright_mm2(scene, plane, Contrast.T2, 0.5))
    assert areas[0] > areas[1] > areas[2]
    assert areas[2] < 0.4 * areas[0]


def test_crossing_planes_agree_on_their_common_line() -> None:
    scene = scene_of(1, 0)
    point = scene.spine.canal_points_mm()[2]
    sagittal, axial = plane_through(point, "x", 60.0), plane_through(point, "z", 60.0)
    images = [next(scene.slices([plane], TISSUES[Contrast.T2])) for plane in (sagittal, axial)]
    # Along the line through the point from front to back.
    assert images[0][60, :] == pytest.approx(images[1][:, 60], abs=0.05)


def test_image_equals_the_brightness_at_its_pixels() -> None:
    scene = scene_of(0, 0)
    plane = plane_through(scene.spine.canal_points_mm()[3], "x", 100.0)
    image = next(scene.slices([plane], TISSUES[Contrast.T1]))
    points = plane.to_mm(*np.meshgrid(np.arange(200.0), np.arange(200.0)))
    exact = scene.brightness(points, TISSUES[Contrast.T1])
    assert np.abs(image - exact).mean() < 0.01


def test_fluid_and_fat_have_the_brightness_of_their_contrast() -> None:
    scene = scene_of(0, 0)
    canal = scene.spine.canal_points_mm()[2:3]
    foramen = scene.spine.foramen_points_mm()[0, 2:3]
    seen = {
        contrast: (
            float(scene.brightness(canal, TISSUES[contrast])[0]),
            float(scene.brightness(foramen, TISSUES[contrast])[0]),
        )
        for contrast in Contrast
    }
    assert seen[Contrast.T1][0] < 0.4 < 0.7 < seen[Contrast.T1][1]
    assert seen[Contrast.T2][0] > 0.7
    assert seen[Contrast.STIR][1] < 0.2
