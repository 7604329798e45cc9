"""Oddities of real data: the first six studies have all of them and can still be graded."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from tests.challenges.lumbar.phantom.headers import read_headers

Slices = dict[tuple[str, str], list[pydicom.Dataset]]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def described(phantom: Path) -> dict[tuple[str, str], str]:
    return {
        (row["study_id"], row["series_id"]): row["series_description"]
        for row in rows_of(phantom / "train_series_descriptions.csv")
    }


@pytest.fixture(scope="module")
def slices(phantom: Path) -> Slices:
    """Read the headers of usable training slices, by study and series, in instance order."""
    found: Slices = defaultdict(list)
    for (study, series, _), header in read_headers(phantom).items():
        found[study, series].append(header)
    for headers in found.values():
        headers.sort(key=lambda header: int(header.InstanceNumber))
    return found


def x_mm(headers: list[pydicom.Dataset]) -> np.ndarray:
    """Return the slices' positions towards the patient's left, in instance order."""
    orientation = np.array(headers[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([header.ImagePositionPatient for header in headers], dtype=float)
    return positions @ (normal * np.sign(normal[0]))


def test_t1_series_have_both_orders_and_one_is_mixed(
    slices: Slices, described: dict[tuple[str, str], str]
) -> None:
    kinds = set()
    for series, headers in slices.items():
        if described[series] == "Sagittal T1":
            steps = np.sign(np.diff(x_mm(headers)))
            kinds.add("mixed" if len(set(steps)) == 2 else float(steps[0]))
    assert kinds == {1.0, -1.0, "mixed"}


def test_axial_series_are_angled_stacks_or_one_straight_stack(
    slices: Slices, described: dict[tuple[str, str], str]
) -> None:
    groups = set()
    for series, headers in slices.items():
        if described[series] == "Axial T2":
            groups.add(len({tuple(header.ImageOrientationPatient) for header in headers}))
    assert groups == {1, 5}


def test_some_studies_have_two_axial_series_and_one_has_no_t1(
    described: dict[tuple[str, str], str],
) -> None:
    series = defaultdict(list)
    for (study, _), description in described.items():
        series[study].append(description)
    assert any(descriptions.count("Axial T2") == 2 for descriptions in series.values())
    assert sum("Sagittal T1" not in descriptions for descriptions in series.values()) == 1


def test_first_test_study_has_no_t2_series(phantom: Path) -> None:
    rows = rows_of(phantom / "test_series_descriptions.csv")
    first = [row["series_description"] for row in rows if row["study_id"] == rows[0]["study_id"]]
    assert sorted(first) == ["Axial T2", "Sagittal T1"]


def test_headers_have_the_oddities_of_real_files(slices: Slices) -> None:
    headers = [header for group in slices.values() for header in group]
    assert {header.PatientPosition for header in headers} == {"HFS", "FFS"}
    syntaxes = {header.file_meta.TransferSyntaxUID for header in headers}
    assert {RLELossless, ImplicitVRLittleEndian} < syntaxes
    assert {header.PhotometricInterpretation for header in headers} == {
        "MONOCHROME1",
        "MONOCHROME2",
    }
    for keyword in ("RescaleSlope", "SpacingBetweenSlices", "SliceThickness"):
        assert {keyword in header for header in headers} == {True, False}
    assert any(header.Rows != header.Columns for header in headers)
    assert any(header.PixelSpacing[0] != header.PixelSpacing[1] for header in headers)


def test_image_sizes_differ_between_series_of_a_study(slices: Slices) -> None:
    sizes = defaultdict(set)
    for (study, _), headers in slices.items():
        sizes[study].add((headers[0].Rows, headers[0].Columns))
    assert any(len(of_study) > 1 for of_study in sizes.values())


def test_one_sagittal_series_is_oblique(
    slices: Slices, described: dict[tuple[str, str], str]
) -> None:
    tilts = [
        abs(float(headers[0].ImageOrientationPatient[0]))
        for series, headers in slices.items()
        if described[series] != "Axial T2"
    ]
    assert max(tilts) > np.sin(np.deg2rad(5))


def test_instance_numbers_have_gaps_and_a_late_start(slices: Slices) -> None:
    numbers = [[int(header.InstanceNumber) for header in group] for group in slices.values()]
    assert any(group[0] > 1 for group in numbers)
    assert any(group[-1] - group[0] >= len(group) for group in numbers)


def test_series_descriptions_differ_from_the_table(
    slices: Slices, described: dict[tuple[str, str], str]
) -> None:
    said = {(headers[0].SeriesDescription, described[series]) for series, headers in slices.items()}
    assert ("T1", "Sagittal T1") in said
    assert ("COR T2", "Axial T2") in said


def test_listed_series_contain_a_truncated_an_empty_and_a_text_file(
    phantom: Path, slices: Slices
) -> None:
    annotated = {
        (row["series_id"], row["instance_number"])
        for row in rows_of(phantom / "train_label_coordinates.csv")
    }
    faults = []
    for path in sorted((phantom / "train_images").rglob("*.dcm")):
        content = path.read_bytes()
        if not content:
            faults.append("empty")
        elif content[128:132] != b"DICM":
            faults.append("text")
        else:
            header = pydicom.dcmread(path)
            compressed = header.file_meta.TransferSyntaxUID.is_compressed
            if compressed or len(header.PixelData) == header.Rows * header.Columns * 2:
                continue
            faults.append("truncated")
        assert (path.parts[-2], path.stem) not in annotated
    assert sorted(faults) == ["empty", "text", "truncated"]


def test_empty_labels_are_subarticular_in_one_study(phantom: Path) -> None:
    empty = [
        (row["study_id"], cell)
        for row in rows_of(phantom / "train.csv")
        for cell, value in row.items()
        if value == ""
    ]
    assert [cell for _, cell in empty] == [
        "left_subarticular_stenosis_l1_l2",
        "right_subarticular_stenosis_l1_l2",
    ]
    assert len({study for study, _ in empty}) == 1


def test_patient_names_are_clearly_synthetic(slices: Slices) -> None:
    names = {str(header.PatientName) for group in slices.values() for header in group}
    assert len(names) == 6
    assert all(name.startswith("SYNTHETIC^") for name in names)
