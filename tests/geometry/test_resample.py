"""Resampled crops have the right positions and sizes, without aliasing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.geometry.planes import Planes
from lsdc.geometry.resample import needed_part, resample
from lsdc.geometry.windows import pixel_maps, window_planes
from tests.geometry.random_planes import AXIAL, random_dicom

SEEDS = st.integers(0, 2**32 - 1)


def cut(image: np.ndarray, pixel_map: np.ndarray, shape: tuple[int, int], **how: Any) -> np.ndarray:
    """Return a crop as a stage makes it: from the needed part of the image."""
    part, moved = needed_part(image.shape, pixel_map, shape)
    (crop,) = resample([np.ascontiguousarray(image[part])], moved, shape, **how)
    return crop


def field(points_mm: np.ndarray) -> np.ndarray:
    """Return brightness values that are linear in space and so interpolated without error."""
    return (points_mm @ [2.0, -3.0, 5.0]).astype(np.float32)


def pixels(rows: int, columns: int) -> np.ndarray:
    """Return (1, rows, columns, 2), the positions of all pixels of one image."""
    y_px, x_px = np.mgrid[:rows, :columns]
    return np.stack([x_px, y_px], axis=-1)[None].astype(np.float64)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(10, 60), st.floats(0, 360))
def test_crop_of_an_oblique_anisotropic_image_has_the_right_positions(
    seed: int, side_mm: float, turn: float
) -> None:
    image = Planes.from_dicom(*random_dicom(seed, n=1))
    centre = image.to_mm([[100.0, 80.0]])
    angle = np.radians(turn)
    down = np.cos(angle) * image.row_direction + np.sin(angle) * image.column_direction
    # Half the edge, in the coarser pixels of the image, stays inside the image.
    side_mm = min(side_mm, 100 * image.spacing_mm.min())
    shape, size_mm = (24, 16), (side_mm / 2, side_mm)
    window = window_planes(image, centre, size_mm, shape, right=image.column_direction, down=down)
    values = field(image.to_mm(pixels(160, 200)))[0]
    crop = cut(values, pixel_maps(image, window)[0], shape)
    np.testing.assert_allclose(crop, field(window.to_mm(pixels(*shape)))[0], atol=0.02)


def test_circle_in_mm_stays_a_circle_for_any_pixel_spacing() -> None:
    image = Planes.from_dicom([[0, 0, 0]], [AXIAL], [[0.5, 1.25]])
    middle = np.array([50.0, 40.0, 0.0])
    radius = np.linalg.norm(image.to_mm(pixels(160, 80))[0] - middle, axis=-1)
    window = window_planes(image, [middle], 60, (120, 120), right=[1, 0, 0], down=[0, 1, 0])
    crop = cut((radius < 20).astype(np.float32), pixel_maps(image, window)[0], (120, 120)) > 0.5
    across, along = crop.sum(axis=1).max() / 2, crop.sum(axis=0).max() / 2
    assert abs(across - 40) < 1.3
    assert abs(along - 40) < 1.3
    assert abs(crop.sum() / 4 - np.pi * 400) < 30


def test_downsampled_checkerboard_is_grey() -> None:
    """Sampled at single points, it would show stripes."""
    y_px, x_px = np.mgrid[:300, :300]
    board = ((x_px + y_px) % 2).astype(np.float32)
    for angle in (0.0, 0.3):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        for shrink in (2.1, 3.7, 6.0):
            crop = cut(board, np.column_stack([shrink * turn, [120, 90]]), (20, 20))
            assert np.abs(crop - 0.5).max() < 0.2


def test_each_pixel_of_a_downsampled_crop_is_the_mean_over_its_area() -> None:
    image = np.random.default_rng(0).random((60, 60)).astype(np.float32)
    whole = np.array([[3.0, 0, 1.0], [0, 3.0, 1.0]])
    crop = cut(image, whole, (20, 20))
    np.testing.assert_allclose(crop, image.reshape(20, 3, 20, 3).mean(axis=(1, 3)), atol=1e-5)


def test_crop_at_the_scale_of_the_image_is_a_copy() -> None:
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    crop = cut(image, np.array([[1.0, 0, 20], [0, 1.0, 10]]), (16, 16))
    np.testing.assert_array_equal(crop, image[10:26, 20:36])


@pytest.mark.parametrize(("border", "beyond"), [("edge", 7.0), ("constant", 0.0)])
def test_outside_the_image_its_edge_continues_or_pixels_are_black(border, beyond: float) -> None:
    image = np.full((20, 20), 7.0, dtype=np.float32)
    crop = cut(image, np.array([[1.0, 0, -8], [0, 1.0, 0]]), (16, 16), border=border)
    np.testing.assert_array_equal(crop[:, :7], beyond)
    np.testing.assert_array_equal(crop[:, 9:], 7.0)


@settings(max_examples=30, deadline=None)
@given(
    SEEDS,
    st.floats(0, 360),
    st.floats(0.2, 3.0),
    st.floats(-40, 80),
    st.sampled_from(["edge", "constant"]),
)
def test_needed_part_of_an_image_gives_the_same_crop_as_the_whole_image(
    seed: int, turn: float, step: float, at: float, border: str
) -> None:
    image = np.random.default_rng(seed).random((40, 50)).astype(np.float32)
    cos, sin = step * np.cos(np.radians(turn)), step * np.sin(np.radians(turn))
    pixel_map = np.array([[cos, -sin, at], [sin, cos, 20.0]])
    (whole,) = resample([image], pixel_map, (16, 16), border=border)
    np.testing.assert_allclose(cut(image, pixel_map, (16, 16), border=border), whole, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_images_cropped_together_equal_those_cropped_separately(count: int) -> None:
    images = list(np.random.default_rng(count).random((count, 40, 50)).astype(np.float32))
    pixel_map = np.array([[0.7, 0.1, 5.0], [-0.1, 0.7, 8.0]])
    together = resample(images, pixel_map, (16, 16))
    assert len(together) == count
    for image, crop in zip(images, together, strict=True):
        np.testing.assert_allclose(crop, resample([image], pixel_map, (16, 16))[0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_integers_are_rounded_and_clipped(dtype: str) -> None:
    white = np.iinfo(dtype).max
    image = np.array([[-5.0, 0.4, 0.6, white - 0.4, white + 9.0]] * 5, dtype=np.float32)
    (crop,) = resample([image], np.eye(3)[:2], (5, 5), dtype=dtype)
    assert crop.dtype == dtype
    assert crop[2].tolist() == [0, 0, 1, white, white]


@pytest.mark.parametrize("border", ["edge", "constant"])
def test_values_are_changed_linearly_and_pixels_outside_stay_black(border: str) -> None:
    image = np.random.default_rng(0).integers(100, 2000, (20, 20)).astype(np.uint16)
    pixel_map = np.array([[0.8, 0.1, -6], [-0.1, 0.8, 2.0]])
    (stored,) = resample([image], pixel_map, (16, 16))
    (changed,) = resample([image], pixel_map, (16, 16), border=border, linear=(0.12, -12.0))
    inside = slice(4, None), slice(9, None)
    np.testing.assert_allclose(changed[inside], 0.12 * stored[inside] - 12, atol=1e-3)
    if border == "constant":
        np.testing.assert_allclose(changed[:, :5], 0, atol=1e-4)
