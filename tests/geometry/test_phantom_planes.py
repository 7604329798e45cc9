"""Check planes of the phantom with highdicom, as phantom and product might share an error."""

import csv
from pathlib import Path

import highdicom.spatial
import numpy as np
import pydicom
import pytest

from lsdc.geometry.planes import Planes

# Files hold positions and cosines to 9 decimals, tables pixels to 6.
ROUNDING_MM = 1e-5


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def answer_columns(condition: str) -> list[str]:
    """Return the columns of `answers/points.csv` with the point of a condition."""
    side, _, what = condition.lower().partition(" ")
    prefix = {
        "canal": "",
        "neural": f"{side}_foramen_",
        "subarticular": f"{side}_recess_",
    }[what.split()[0]]
    return [f"{prefix}{axis}_mm" for axis in "xyz"]


@pytest.fixture(scope="module")
def annotated(phantom: Path):
    """Return (condition, pixel, planted point, plane attributes) of every annotation."""
    answers = {
        (row["study_id"], row["level"]): row for row in read_rows(phantom / "answers/points.csv")
    }
    found = []
    for row in read_rows(phantom / "train_label_coordinates.csv"):
        level = row["level"].lower().replace("/", "_")
        answer = answers[row["study_id"], level]
        truth = np.array([float(answer[column]) for column in answer_columns(row["condition"])])
        file = phantom / "train_images" / row["study_id"] / row["series_id"]
        header = pydicom.dcmread(file / f"{row['instance_number']}.dcm", stop_before_pixels=True)
        plane = (
            [float(value) for value in header.ImagePositionPatient],
            [float(value) for value in header.ImageOrientationPatient],
            [float(value) for value in header.PixelSpacing],
        )
        pixel = np.array([float(row["x"]), float(row["y"])])
        found.append((row["condition"], pixel, truth, plane))
    return found


def test_annotated_pixels_are_the_planted_points_projected_onto_slices(annotated) -> None:
    assert len(annotated) > 100
    for condition, pixel, truth, plane in annotated:
        # highdicom counts from the corner of the first voxel, tables from its centre.
        mm = highdicom.spatial.ImageToReferenceTransformer(*plane)(pixel[None] + 0.5)[0]
        normal = np.cross(plane[1][:3], plane[1][3:])
        away = (mm - truth) @ normal
        np.testing.assert_allclose(mm - away * normal, truth, rtol=0, atol=ROUNDING_MM)
        assert abs(away) < 12, condition


def test_planes_of_the_phantom_equal_those_of_highdicom(annotated) -> None:
    for _, pixel, truth, plane in annotated:
        ours = Planes.from_dicom(*([part] for part in plane))
        forward = highdicom.spatial.ImageToReferenceTransformer(*plane)
        np.testing.assert_allclose(ours.to_mm([pixel])[0], forward(pixel[None] + 0.5)[0], atol=1e-6)
        np.testing.assert_allclose(ours.to_pixel([truth])[0], pixel, rtol=0, atol=1e-4)


def test_phantom_has_both_planes_oblique_rows_and_unequal_spacings(annotated) -> None:
    """Otherwise square pixels would hide swapped spacings, and one plane swapped axes."""
    planes = [plane for *_, plane in annotated]
    assert {int(np.abs(np.cross(o[:3], o[3:])).argmax()) for _, o, _ in planes} == {0, 2}
    assert any(spacing[0] != spacing[1] for *_, spacing in planes)
    assert any(np.abs(o[:3]).max() < 0.999 for _, o, _ in planes)
