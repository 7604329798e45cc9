"""Windows, compared with highdicom and with geometric laws."""

import highdicom.spatial
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.errors import DataError
from lsdc.geometry.planes import Planes
from lsdc.geometry.windows import own_direction, pixel_maps, shift_windows, window_planes
from tests.geometry.random_planes import AXIAL, SAGITTAL, Move, random_dicom, rigidly_moved

SEEDS = st.integers(0, 2**32 - 1)
SIZE = 32


def random_windows(dicom, seed: int, move: Move | None = None) -> Planes:
    rng = np.random.default_rng(seed)
    n = len(dicom[0])
    centre, right, down = rng.uniform(-300, 300, (n, 3)), *rng.normal(size=(2, n, 3))
    if move:
        centre, right, down = move.points(centre), move.directions(right), move.directions(down)
    side = rng.uniform(20, 120, n)
    planes = Planes.from_dicom(*dicom)
    return window_planes(planes, centre, side[:, None], (SIZE, SIZE), right=right, down=down)


def dicom_of(planes: Planes, i: int) -> list[list[float]]:
    orientation = [*planes.row_direction[i], *planes.column_direction[i]]
    return [list(planes.origin_mm[i]), orientation, list(planes.spacing_mm[i])]


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_pixels_of_windows_equal_those_of_highdicom(seed: int) -> None:
    images, windows = (
        Planes.from_dicom(*random_dicom(seed)),
        random_windows(random_dicom(seed), seed),
    )
    maps = pixel_maps(images, windows)
    pixels = np.random.default_rng(seed).uniform(-5, SIZE + 5, (7, 2))
    for i in range(20):
        oracle = highdicom.spatial.ImageToImageTransformer(
            *dicom_of(windows, i), *dicom_of(images, i)
        )
        ours = pixels @ maps[i, :, :2].T + maps[i, :, 2]
        apart_mm = (oracle(pixels + 0.5) - 0.5 - ours) * images.spacing_mm[i, ::-1]
        np.testing.assert_allclose(apart_mm, 0, rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_window_is_a_rectangle_of_the_given_size_around_its_centre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = Planes.from_dicom(*random_dicom(seed))
    centre, size = rng.uniform(-300, 300, (20, 3)), rng.uniform(20, 120, (20, 2))
    down, right = images.row_direction + images.column_direction, images.row_direction
    rows, columns = 24, 40
    windows = window_planes(images, centre, size, (rows, columns), right=right, down=down)
    edge = np.array([[x, y] for y in (-0.5, rows - 0.5) for x in (-0.5, columns - 0.5)])
    corners = windows.to_mm(np.tile(edge, (20, 1, 1)))
    np.testing.assert_allclose(images.signed_distance(corners), 0, atol=1e-9)
    diagonal = np.linalg.norm(size, axis=1)
    for one, other, length in (
        (0, 1, size[:, 0]),
        (0, 2, size[:, 1]),
        (1, 2, diagonal),
        (0, 3, diagonal),
    ):
        apart = np.linalg.norm(corners[:, one] - corners[:, other], axis=1)
        np.testing.assert_allclose(apart, length, atol=1e-9)
    np.testing.assert_allclose(
        images.to_pixel(corners.mean(axis=1)), images.to_pixel(centre), atol=1e-8
    )


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_crops_do_not_change_if_the_patient_moves(seed: int) -> None:
    dicom = random_dicom(seed)
    moved = rigidly_moved(dicom, seed)
    still_maps = pixel_maps(Planes.from_dicom(*dicom), random_windows(dicom, seed))
    moved_maps = pixel_maps(Planes.from_dicom(*moved), random_windows(moved, seed, Move(seed)))
    np.testing.assert_allclose(moved_maps, still_maps, rtol=0, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.booleans(), st.booleans(), st.booleans())
def test_crop_does_not_depend_on_how_the_image_is_stored(
    seed: int, mirrored: bool, upside_down: bool, transposed: bool
) -> None:
    position, orientation, spacing = random_dicom(seed)
    row, column, last = orientation[:, :3], orientation[:, 3:], 319
    step = spacing[:, ::-1]
    if mirrored:
        position, row = position + last * step[:, :1] * row, -row
    if upside_down:
        position, column = position + last * step[:, 1:] * column, -column
    if transposed:
        row, column, spacing = column, row, step
    stored = (position, np.concatenate([row, column], axis=1), spacing)
    one, other = random_windows(random_dicom(seed), seed), random_windows(stored, seed)
    pixels = np.tile([[0.0, 0.0], [31.0, 0.0], [5.0, 17.0]], (20, 1, 1))
    np.testing.assert_allclose(other.to_mm(pixels), one.to_mm(pixels), rtol=0, atol=1e-9)


def test_crop_has_the_given_right_and_down_directions() -> None:
    image = Planes.from_dicom([[0, 0, 0]], [SAGITTAL], [[1, 1]])
    front = window_planes(image, [[9, 40, -50]], 64, (64, 64), right=[0, -1, 0], down=[0, 0, -1])
    np.testing.assert_allclose(front.row_direction, [[0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(front.column_direction, [[0, 0, -1]], atol=1e-12)
    np.testing.assert_allclose(front.to_pixel([[9, 40, -50]]), [[31.5, 31.5]])


def test_directions_of_the_image_rotate_a_crop_only_by_right_angles() -> None:
    images = Planes.from_dicom(*random_dicom(5))
    rng = np.random.default_rng(6)
    down = own_direction(images, rng.normal(size=(20, 3)))
    right = rng.normal(size=3)
    windows = window_planes(images, images.origin_mm, 40, (32, 32), right=right, down=down)
    linear = pixel_maps(images, windows)[:, :, :2]
    zeros = np.isclose(linear, 0, atol=1e-9)
    assert (zeros.sum(axis=1) == 1).all()
    assert (zeros.sum(axis=2) == 1).all()


def test_nearest_direction_may_be_against_rows_or_columns() -> None:
    image = Planes.from_dicom([[0, 0, 0]], [AXIAL], [[1, 1]])
    np.testing.assert_allclose(own_direction(image, [0.2, -0.9, 0.3]), [[0, -1, 0]])
    np.testing.assert_allclose(own_direction(image, [0.9, 0.1, 0.3]), [[1, 0, 0]])


def test_shift_is_in_fractions_of_the_size_to_the_right_and_down() -> None:
    image = Planes.from_dicom([[0, 0, 0]], [AXIAL], [[0.5, 0.8]])
    shape = (20, 32)
    window = window_planes(image, [[50, 60, 0]], [40, 80], shape, right=[-1, 0, 0], down=[0, 1, 0])
    moved = shift_windows(window, [[0.25, -0.5]], shape)
    np.testing.assert_allclose(moved.to_mm([[15.5, 9.5]]), [[40, 20, 0]], atol=1e-9)


def test_direction_along_the_normal_and_window_without_size_are_refused() -> None:
    images = Planes.from_dicom([[0, 0, 0]] * 2, [SAGITTAL, AXIAL], [[1, 1]] * 2)
    centre = np.zeros((2, 3))
    with pytest.raises(DataError, match="down of slice 1 of 2"):
        window_planes(images, centre, 40, (32, 32), right=[0, 1, 0], down=[0, 0, -1])
    with pytest.raises(DataError, match="size_mm of slice 1 of 2"):
        window_planes(
            images, centre, [[40, 40], [40, 0]], (32, 32), right=[0, 1, 0], down=[0, 1, -1]
        )
