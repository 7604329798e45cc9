"""The written competition: its tables and DICOM files, read without the phantom's code."""

import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.spatial import ImageToReferenceTransformer

from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.errors import SettingsError
from tests.challenges.lumbar.phantom.headers import read_headers

STRUCTURES = {
    "Spinal Canal Stenosis": "",
    "Left Neural Foraminal Narrowing": "left_foramen_",
    "Right Neural Foraminal Narrowing": "right_foramen_",
    "Left Subarticular Stenosis": "left_recess_",
    "Right Subarticular Stenosis": "right_recess_",
}
LARGEST_HALF_GAP_MM = 3.6


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def answered_points(phantom: Path) -> dict[tuple[str, str, str], np.ndarray]:
    return {
        (row["study_id"], row["level"], condition): np.array(
            [float(row[f"{name}{axis}_mm"]) for axis in "xyz"]
        )
        for row in rows_of(phantom / "answers/points.csv")
        for condition, name in STRUCTURES.items()
    }


@pytest.fixture(scope="module")
def headers(phantom: Path) -> dict[tuple[str, str, str], pydicom.Dataset]:
    return read_headers(phantom)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_bytes_with_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_phantom(tmp_path / "one", Order(studies=2, test=1, seed=5, max_size=32))
    monkeypatch.setattr("lsdc.phantom._WORTH_PROCESSES", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    write_phantom(tmp_path / "two", Order(studies=2, test=1, seed=5, max_size=32))
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_another_seed_gives_other_studies(phantom: Path, tmp_path: Path) -> None:
    write_phantom(tmp_path / "other", Order(studies=1, test=0, seed=4, max_size=32))
    ids = {row["study_id"] for row in rows_of(phantom / "train.csv")}
    assert ids.isdisjoint(row["study_id"] for row in rows_of(tmp_path / "other/train.csv"))


def test_tables_list_every_study_and_series_with_images(phantom: Path) -> None:
    for split, count in (("train", 6), ("test", 2)):
        listed = {
            (row["study_id"], row["series_id"])
            for row in rows_of(phantom / f"{split}_series_descriptions.csv")
        }
        on_disk = {path.parts[-2:] for path in (phantom / f"{split}_images").glob("*/*")}
        assert listed == on_disk
        assert len({study for study, _ in listed}) == count


def test_train_csv_has_a_column_for_every_condition_and_level(phantom: Path) -> None:
    rows = rows_of(phantom / "train.csv")
    assert len(rows) == 6
    assert all(len(row) == 26 for row in rows)
    cells = Counter(value for row in rows for key, value in row.items() if key != "study_id")
    assert set(cells) == {"Normal/Mild", "Moderate", "Severe", ""}


def test_sample_submission_has_25_rows_per_test_study(phantom: Path) -> None:
    rows = rows_of(phantom / "sample_submission.csv")
    studies = {row["study_id"] for row in rows_of(phantom / "test_series_descriptions.csv")}
    assert len(rows) == len({row["row_id"] for row in rows}) == 50
    assert {row["row_id"].split("_")[0] for row in rows} == studies
    total = sum(float(rows[0][grade]) for grade in ("normal_mild", "moderate", "severe"))
    assert total == pytest.approx(1)


def test_balanced_grades_are_equally_frequent_at_every_level(phantom: Path) -> None:
    counts = Counter(
        (row["condition"], row["level"], row["grade"])
        for row in rows_of(phantom / "answers/grades.csv")
        if row["split"] == "train"
    )
    assert len(counts) == 5 * 5 * 3
    assert set(counts.values()) == {2}


def test_real_grades_are_most_severe_at_l4_l5(tmp_path: Path) -> None:
    from lsdc.challenges.lumbar.phantom.grades import deal_grades

    grades = deal_grades(4000, "real", np.random.default_rng(0))
    severe = (grades == 2).mean(axis=0)
    assert (grades[:, 0] == 0).mean() == pytest.approx(0.878, abs=0.02)
    assert severe[0].argmax() == 3
    assert severe[0].mean() == pytest.approx(0.048, abs=0.01)


def test_annotations_match_the_answers(
    phantom: Path, headers: dict[tuple[str, str, str], pydicom.Dataset]
) -> None:
    answers = answered_points(phantom)
    annotations = rows_of(phantom / "train_label_coordinates.csv")
    assert len(annotations) > 120
    for row in annotations:
        header = headers[row["study_id"], row["series_id"], row["instance_number"]]
        to_mm = ImageToReferenceTransformer(
            image_position=[float(value) for value in header.ImagePositionPatient],
            image_orientation=[float(value) for value in header.ImageOrientationPatient],
            pixel_spacing=[float(value) for value in header.PixelSpacing],
        )
        # The origin of highdicom's pixels is the corner of the first, here it is its centre.
        place = np.array([[float(row["x"]) + 0.5, float(row["y"]) + 0.5]])
        level = row["level"].lower().replace("/", "_")
        off = to_mm(place)[0] - answers[row["study_id"], level, row["condition"]]
        direction = np.array(header.ImageOrientationPatient, dtype=float)
        normal = np.cross(direction[:3], direction[3:])
        assert abs(off @ normal) < LARGEST_HALF_GAP_MM
        assert np.linalg.norm(off - (off @ normal) * normal) < 1e-3
        assert 0 < float(row["x"]) < header.Columns
        assert 0 < float(row["y"]) < header.Rows


def test_left_structures_have_greater_x_than_right_ones(phantom: Path) -> None:
    for row in rows_of(phantom / "answers/points.csv"):
        for structure in ("foramen", "recess"):
            left, right = (float(row[f"{side}_{structure}_x_mm"]) for side in ("left", "right"))
            assert left > float(row["x_mm"]) > right


def test_levels_descend_in_plausible_steps(phantom: Path) -> None:
    heights = defaultdict(list)
    for row in rows_of(phantom / "answers/points.csv"):
        heights[row["study_id"]].append(float(row["z_mm"]))
    for z_mm in heights.values():
        steps = -np.diff(z_mm)
        assert len(steps) == 4
        assert (steps > 20).all()
        assert (steps < 50).all()


def test_every_condition_is_annotated_on_its_own_plane(phantom: Path) -> None:
    described = {
        row["series_id"]: row["series_description"]
        for row in rows_of(phantom / "train_series_descriptions.csv")
    }
    shown = defaultdict(set)
    for row in rows_of(phantom / "train_label_coordinates.csv"):
        shown[row["condition"].split(" ", 1)[-1]].add(described[row["series_id"]])
    assert shown == {
        "Canal Stenosis": {"Sagittal T2/STIR"},
        "Neural Foraminal Narrowing": {"Sagittal T1"},
        "Subarticular Stenosis": {"Axial T2"},
    }


@pytest.mark.parametrize(
    "wrong", [{"studies": 0}, {"max_size": 8}, {"seed": -1}, {"test": -1}, {"vertebrae": 7}]
)
def test_numbers_out_of_bounds_are_refused_by_name(tmp_path: Path, wrong: dict[str, Any]) -> None:
    numbers = {"studies": 1, "test": 0, "seed": 0, "max_size": 32} | wrong
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        write_phantom(tmp_path / "out", Order(**numbers))
    assert not (tmp_path / "out").exists()
