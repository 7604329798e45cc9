"""Planes, compared with the transformers of highdicom and with geometric laws."""

import highdicom.spatial
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.errors import DataError
from lsdc.geometry.planes import Planes, normal_positions, orientation_groups
from tests.geometry.random_planes import AXIAL, SAGITTAL, Move, random_dicom, rigidly_moved

ORACLE_TOLERANCE_MM = 1e-9
SEEDS = st.integers(0, 2**32 - 1)


def random_planes(seed: int, n: int = 20) -> Planes:
    return Planes.from_dicom(*random_dicom(seed, n))


def tilted(degrees: float) -> list[float]:
    """Return an axial orientation, tilted about the patient's left-right axis."""
    angle = np.radians(degrees)
    return [1.0, 0.0, 0.0, 0.0, np.cos(angle), np.sin(angle)]


def test_pixels_and_points_agree_with_highdicom_on_oblique_planes() -> None:
    position, orientation, spacing = random_dicom(1)
    planes = Planes.from_dicom(position, orientation, spacing)
    rng = np.random.default_rng(2)
    pixels = rng.uniform(-50, 600, (20, 7, 2))
    points = rng.uniform(-300, 300, (20, 7, 3))
    to_mm, to_pixel, distance = (
        planes.to_mm(pixels),
        planes.to_pixel(points),
        planes.signed_distance(points),
    )
    for i in range(20):
        plane = {
            "image_position": position[i].tolist(),
            "image_orientation": orientation[i].tolist(),
            "pixel_spacing": spacing[i].tolist(),
        }
        forward = highdicom.spatial.ImageToReferenceTransformer(**plane)
        # highdicom counts from the corner of the first voxel, lsdc from its centre.
        np.testing.assert_allclose(
            to_mm[i], forward(pixels[i] + 0.5), rtol=0, atol=ORACLE_TOLERANCE_MM
        )
        back = highdicom.spatial.ReferenceToImageTransformer(**plane, spacing_between_slices=1.0)
        expected = back(points[i])
        np.testing.assert_allclose(
            to_pixel[i] * spacing[i, ::-1],
            (expected[:, :2] - 0.5) * spacing[i, ::-1],
            rtol=0,
            atol=ORACLE_TOLERANCE_MM,
        )
        np.testing.assert_allclose(distance[i], expected[:, 2], rtol=0, atol=ORACLE_TOLERANCE_MM)


def test_row_spacing_is_first_and_is_the_step_of_y() -> None:
    planes = Planes.from_dicom([[0, 0, 0]], [AXIAL], [[2.0, 0.5]])
    np.testing.assert_allclose(planes.to_mm([[10, 10]]), [[5.0, 20.0, 0.0]])


def test_normal_of_an_axial_plane_points_to_the_head() -> None:
    planes = Planes.from_dicom([[0, 0, 7]], [AXIAL], [[1, 1]])
    np.testing.assert_allclose(planes.normal, [[0, 0, 1]])
    np.testing.assert_allclose(planes.signed_distance([[3, 4, 12]]), [5.0])


def test_columns_of_an_axial_image_increase_to_the_left_in_any_slice_order() -> None:
    planes = Planes.from_dicom([[0, 0, 9], [0, 0, 5]], [AXIAL, AXIAL], [[1, 1], [1, 1]])
    assert (planes.to_mm([[1, 0], [1, 0]])[:, 0] > 0).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_pixel_to_mm_to_pixel_round_trip(seed: int) -> None:
    pixels = np.random.default_rng(seed).uniform(-100, 1100, (20, 3, 2))
    planes = random_planes(seed)
    there = planes.to_mm(pixels)
    np.testing.assert_allclose(planes.to_pixel(there), pixels, rtol=0, atol=1e-9)
    np.testing.assert_allclose(planes.signed_distance(there), 0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_point_is_its_projection_plus_its_distance_along_the_normal(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-300, 300, (20, 3))
    planes = random_planes(seed)
    foot = planes.to_mm(planes.to_pixel(points))
    rebuilt = foot + planes.signed_distance(points)[:, None] * planes.normal
    np.testing.assert_allclose(rebuilt, points, rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_pixels_and_distances_do_not_change_if_the_patient_moves(seed: int) -> None:
    dicom = random_dicom(seed)
    points = np.random.default_rng(seed + 1).uniform(-300, 300, (20, 3))
    still, moved = Planes.from_dicom(*dicom), Planes.from_dicom(*rigidly_moved(dicom, seed))
    there = Move(seed).points(points)
    np.testing.assert_allclose(moved.to_pixel(there), still.to_pixel(points), rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        moved.signed_distance(there), still.signed_distance(points), rtol=0, atol=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_order_groups_and_distances_do_not_change_if_the_patient_moves(seed: int) -> None:
    position, orientation, spacing = random_dicom(seed)
    parallel = np.tile(orientation[:2], (10, 1))  # two stacks with alternating slices
    still = (position, parallel)
    moved = rigidly_moved((position, parallel, spacing), seed)[:2]
    groups = orientation_groups(parallel)
    assert groups.tolist() == [0, 1] * 10
    assert np.array_equal(orientation_groups(moved[1]), groups)
    along = normal_positions(*still, groups=groups).reshape(10, 2)
    along_moved = normal_positions(*moved, groups=groups).reshape(10, 2)
    assert np.array_equal(along_moved.argsort(axis=0), along.argsort(axis=0))
    np.testing.assert_allclose(np.diff(along_moved, axis=0), np.diff(along, axis=0), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_mirrored_image_has_the_same_positions(seed: int) -> None:
    position, orientation, spacing = random_dicom(seed)
    last = 319
    planes = Planes.from_dicom(position, orientation, spacing)
    mirrored = Planes.from_dicom(
        planes.to_mm(np.tile([last, 0], (20, 1))),
        orientation * [-1, -1, -1, 1, 1, 1],
        spacing,
    )
    pixels = np.random.default_rng(seed).uniform(0, last, (20, 2))
    np.testing.assert_allclose(
        mirrored.to_mm([last, 0] + pixels * [-1, 1]), planes.to_mm(pixels), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(mirrored.normal, -planes.normal, atol=1e-12)


def test_one_plane_broadcasts_over_many_points() -> None:
    plane = random_planes(3, n=1)
    pixels = np.random.default_rng(4).uniform(0, 300, (50, 2))
    one_by_one = np.concatenate([plane.to_mm(pixel[None]) for pixel in pixels])
    np.testing.assert_allclose(plane.to_mm(pixels), one_by_one)


def test_rounded_cosines_are_made_orthonormal() -> None:
    _, orientation, _ = random_dicom(5)
    planes = Planes.from_dicom(np.zeros((20, 3)), orientation.round(3), np.ones((20, 2)))
    np.testing.assert_allclose(np.linalg.norm(planes.row_direction, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(planes.column_direction, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(
        (planes.row_direction * planes.column_direction).sum(axis=1), 0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("position", "orientation", "spacing", "named"),
    [
        ([0, 0, 0], [0] * 6, [1, 1], "ImageOrientationPatient"),
        ([0, 0, 0], [1, 0, 0, 1, 0, 0], [1, 1], "ImageOrientationPatient"),
        ([0, 0, float("nan")], AXIAL, [1, 1], "ImagePositionPatient"),
        ([0, 0, 0], AXIAL, [1, 0], "PixelSpacing"),
        ([0, 0], AXIAL, [1, 1], "ImagePositionPatient"),
    ],
)
def test_invalid_plane_is_refused_with_the_attribute(
    position: list[float], orientation: list[float], spacing: list[float], named: str
) -> None:
    with pytest.raises(DataError, match=named):
        Planes.from_dicom([position], [orientation], [spacing])


def test_different_numbers_of_positions_and_orientations_are_refused() -> None:
    with pytest.raises(DataError, match="2 positions, 1 orientations"):
        Planes.from_dicom([[0, 0, 0], [0, 0, 1]], [AXIAL], [[1, 1], [1, 1]])


def test_angled_stacks_are_grouped_in_order_of_appearance() -> None:
    orientations = [tilted(20)] * 3 + [tilted(5)] * 2 + [tilted(20.01)] + [tilted(-10), tilted(5)]
    assert orientation_groups(orientations, 0.5).tolist() == [0, 0, 0, 1, 1, 0, 2, 1]


def test_tolerance_separates_groups() -> None:
    pair = [tilted(0), tilted(1)]
    assert orientation_groups(pair, 1.01).tolist() == [0, 0]
    assert orientation_groups(pair, 0.99).tolist() == [0, 1]


def test_images_rotated_in_their_plane_are_different_groups() -> None:
    turned = [0.0, 1.0, 0.0, -1.0, 0.0, 0.0]
    assert orientation_groups([AXIAL, turned, SAGITTAL]).tolist() == [0, 1, 2]


def test_no_slices_give_no_groups_and_no_positions() -> None:
    assert orientation_groups(np.zeros((0, 6))).tolist() == []
    assert normal_positions(np.zeros((0, 3)), np.zeros((0, 6))).tolist() == []


def test_positions_along_the_normal_are_the_distances_between_slices() -> None:
    planes = random_planes(6, n=1)
    orientation = np.concatenate([planes.row_direction, planes.column_direction], axis=1)
    offsets = np.array([0.0, 4.4, 8.8, -4.4])
    positions = planes.origin_mm + offsets[:, None] * planes.normal + 3 * planes.row_direction
    along = normal_positions(positions, np.tile(orientation, (4, 1)))
    np.testing.assert_allclose(along - along[0], offsets, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_slices_are_ordered_like_in_highdicom(seed: int) -> None:
    position, orientation, _ = random_dicom(seed)
    stack = np.tile(orientation[:1], (20, 1))
    expected = highdicom.spatial.get_plane_sort_index(position.tolist(), orientation[0].tolist())
    # highdicom sorts against the normal of rows and columns, lsdc along it.
    assert np.argsort(normal_positions(position, stack))[::-1].tolist() == list(expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_flipped_slices_have_the_reverse_order(axis: int) -> None:
    flipped = np.array(AXIAL).reshape(2, 3)
    flipped[axis] *= -1
    positions = [[0, 0, height] for height in (5.0, 1.0, 3.0)]
    assert normal_positions(positions, [AXIAL] * 3).argsort().tolist() == [1, 2, 0]
    assert normal_positions(positions, [flipped.ravel()] * 3).argsort().tolist() == [0, 2, 1]
