"""Layout: the positions of pixels and points on a sheet."""

import numpy as np
import pytest

from lsdc.challenges.lumbar.report.layout import Panel
from lsdc.geometry.planes import Planes
from lsdc.report.drawing import Box

SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]  # columns to the back, rows to the feet
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
ROOM = Box(100, 50, 400, 200)


def plane(orientation: list[float], spacing: tuple[float, float] = (1.0, 1.0)) -> Planes:
    return Planes.from_dicom([[7.0, -20.0, 80.0]], [orientation], [spacing])


def test_image_fills_its_box_in_one_direction_and_is_centred_in_the_other() -> None:
    panel = Panel.fit(ROOM, (100, 50), plane(SAGITTAL))
    assert panel.box == Box(250, 50, 100, 200)
    assert panel.pixels_per_mm == pytest.approx(2.0)


def test_image_with_oblong_pixels_is_shown_in_square_mm() -> None:
    panel = Panel.fit(ROOM, (50, 100), plane(SAGITTAL, (2.0, 1.0)))
    assert (panel.box.width, panel.box.height) == (200, 200)


def test_image_corners_match_the_box_corners() -> None:
    panel = Panel.fit(ROOM, (100, 50), plane(SAGITTAL))
    corners = panel.place_pixels([[-0.5, -0.5], [49.5, 99.5]])
    assert corners.tolist() == [[249.5, 49.5], [349.5, 249.5]]
    # Each pixel covers two pixels of the sheet, so its centre lies between these two.
    assert panel.place_pixels([[0.0, 0.0]]).tolist() == [[250.5, 50.5]]


def test_points_are_projected_onto_the_image() -> None:
    panel = Panel.fit(ROOM, (100, 50), plane(SAGITTAL))
    # 10 mm behind and 30 mm below the first pixel, at any distance from the plane.
    for across in (-50.0, 7.0, 50.0):
        assert panel.place_points([[across, -10.0, 50.0]]).tolist() == [[270.5, 110.5]]


def test_mirrored_image_mirrors_its_points_and_edge_names() -> None:
    straight = Panel.fit(ROOM, (100, 50), plane(AXIAL))
    mirrored = Panel.fit(ROOM, (100, 50), plane(AXIAL), mirrored=True)
    pixels = np.array([[0.0, 0.0], [49.0, 99.0], [12.25, 40.0]])
    one, other = straight.place_pixels(pixels), mirrored.place_pixels(pixels)
    assert np.allclose(one[:, 0] + other[:, 0], straight.box.left + straight.box.right - 1)
    assert np.allclose(one[:, 1], other[:, 1])
    assert straight.edge_names() == ("R", "L", "A", "P")
    assert mirrored.edge_names() == ("L", "R", "A", "P")


def test_edges_of_a_sagittal_image_are_front_back_head_and_feet() -> None:
    assert Panel.fit(ROOM, (9, 9), plane(SAGITTAL)).edge_names() == ("A", "P", "H", "F")
