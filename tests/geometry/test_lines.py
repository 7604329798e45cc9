"""Lines of planes on images, compared with highdicom and with geometric laws."""

import highdicom.spatial
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.geometry.lines import cut_lines
from lsdc.geometry.planes import Planes
from tests.geometry.random_planes import AXIAL, SAGITTAL, random_dicom, rigidly_moved

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = np.array([320, 240])
# A sagittal image of 200 x 100 pixels of 1 mm: y from 0 to the back, z from 0 to the feet.
IMAGE = Planes.from_dicom([[0, 0, 0]], [SAGITTAL], [[1, 1]])


def pairs(seed: int, n: int = 20) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return images, and planes through a point on each of them."""
    image, cutting = random_dicom(seed, n), random_dicom(seed + 1, n)
    on_image = np.random.default_rng(seed).uniform(0, 240, (n, 2))
    return image, (Planes.from_dicom(*image).to_mm(on_image), *cutting[1:])


def test_axial_slice_is_a_horizontal_line_on_a_sagittal_image() -> None:
    axial = Planes.from_dicom([[-50, -50, -40]], [AXIAL], [[1, 1]])
    np.testing.assert_allclose(cut_lines(IMAGE, (200, 100), axial), [[[99.5, 40], [-0.5, 40]]])


def test_normal_points_to_the_right_of_the_line() -> None:
    """Here this is up: the normal of the axial plane points to the head, the line to the left."""
    axial = Planes.from_dicom([[0, 0, -40]], [AXIAL], [[1, 1]])
    (first, last), *_ = cut_lines(IMAGE, (200, 100), axial)
    ahead = last - first
    to_the_right = np.array([-ahead[1], ahead[0]])
    pixel = IMAGE.to_pixel(axial.origin_mm + axial.normal)[0] - IMAGE.to_pixel(axial.origin_mm)[0]
    assert to_the_right @ pixel > 0


def test_parallel_planes_and_lines_outside_the_image_are_nan() -> None:
    beside = Planes.from_dicom(
        [[0, 0, 10], [0, 0, -210], [7, 0, 0]], [AXIAL, AXIAL, SAGITTAL], [[1, 1]] * 3
    )
    assert np.isnan(cut_lines(IMAGE, (200, 100), beside)).all()


def test_planes_half_a_degree_apart_are_parallel() -> None:
    turn = np.radians([0.49, 0.51])
    turned = [[np.sin(each), np.cos(each), 0, 0, 0, -1] for each in turn]
    parallel, line = cut_lines(
        IMAGE, (200, 100), Planes.from_dicom([[0, 50, -50]] * 2, turned, [[1, 1]] * 2)
    )
    assert np.isnan(parallel).all()
    np.testing.assert_allclose(line, [[50, 199.5], [50, -0.5]])


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_both_ends_are_on_the_cutting_plane_of_highdicom_and_on_the_edge(seed: int) -> None:
    image, cutting = pairs(seed)
    lines = cut_lines(Planes.from_dicom(*image), SHAPES, Planes.from_dicom(*cutting))
    assert np.isfinite(lines).any()
    for i in np.flatnonzero(np.isfinite(lines).all(axis=(1, 2))):
        forward = highdicom.spatial.ImageToReferenceTransformer(*(list(part[i]) for part in image))
        across = highdicom.spatial.ReferenceToImageTransformer(
            *(list(part[i]) for part in cutting), spacing_between_slices=1.0
        )
        np.testing.assert_allclose(across(forward(lines[i] + 0.5))[:, 2], 0, atol=1e-9)
        to_edge = np.minimum(np.abs(lines[i] + 0.5), np.abs(lines[i] - SHAPES[::-1] + 0.5))
        np.testing.assert_allclose(to_edge.min(axis=1), 0, atol=1e-9)
        assert (lines[i] > -0.5 - 1e-9).all()
        assert (lines[i] < SHAPES[::-1] - 0.5 + 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_plane_intersects_an_image_where_its_signed_distance_changes_sign(seed: int) -> None:
    image, cutting = (Planes.from_dicom(*part) for part in pairs(seed))
    lines = cut_lines(image, SHAPES, cutting)
    rows, columns = SHAPES - 0.5
    corners = np.array([[-0.5, -0.5], [columns, -0.5], [-0.5, rows], [columns, rows]])
    at_corners = cutting.signed_distance(image.to_mm(np.tile(corners, (20, 1, 1))))
    changes = (at_corners.min(axis=1) < 0) & (at_corners.max(axis=1) > 0)
    parallel = np.linalg.norm(np.cross(image.normal, cutting.normal), axis=1) < np.sin(
        np.radians(0.5)
    )
    assert np.array_equal(np.isfinite(lines).all(axis=(1, 2)), changes & ~parallel)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_lines_do_not_change_if_the_patient_moves(seed: int) -> None:
    image, cutting = pairs(seed)
    still = cut_lines(Planes.from_dicom(*image), SHAPES, Planes.from_dicom(*cutting))
    moved = [Planes.from_dicom(*rigidly_moved(part, seed)) for part in (image, cutting)]
    np.testing.assert_allclose(cut_lines(moved[0], SHAPES, moved[1]), still, rtol=0, atol=1e-6)


def test_one_plane_broadcasts_over_images_and_one_image_over_planes() -> None:
    image, cutting = (Planes.from_dicom(*part) for part in pairs(3))
    one = Planes.from_dicom(*(part[:1] for part in pairs(3)[0]))
    assert cut_lines(one, SHAPES, cutting).shape == (20, 2, 2)
    np.testing.assert_array_equal(
        cut_lines(one, SHAPES, cutting)[0], cut_lines(image, SHAPES, cutting)[0]
    )
