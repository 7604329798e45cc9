"""The doctor: every planted fault is found where it was planted, and only there."""

import importlib
import pkgutil
import shutil
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.hemorrhage import quality
from lsdc.challenges.hemorrhage.index.build import Index
from lsdc.challenges.hemorrhage.quality.checks import CHECKS
from lsdc.challenges.hemorrhage.quality.doctor import examine
from lsdc.tables.findings import Finding, Report
from tests.challenges.hemorrhage.ct_files import made_up, write_ct, write_stack
from tests.challenges.hemorrhage.index.indexing import index_of

EVEN = [0.0, 5.0, 10.0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a competition's folder without a fault."""
    root = tmp_path / "competition"
    write_stack(root / "stage_2_train_images", "a", EVEN)
    write_stack(root / "stage_2_train_images", "b", EVEN, bits=12)
    write_stack(root / "stage_2_test_images", "c", EVEN)
    return root


def listed_in(index: Index) -> pl.DataFrame:
    return index.images.select("split", "image_id")


def found(root: Path, out: Path) -> dict[str, Finding]:
    """Return the findings that are not empty."""
    index = index_of(root, out)
    report = examine(index, listed=listed_in(index))
    return {each.name: each for each in report.findings if each.count}


def study(name: str) -> str:
    return made_up("study", name, digits=10)


def test_data_without_fault_have_no_finding(root: Path, tmp_path: Path) -> None:
    index = index_of(root, tmp_path / "out")
    report = examine(index, listed=listed_in(index))
    assert [each.name for each in report.findings if each.count] == []
    for module in pkgutil.iter_modules(quality.__path__, f"{quality.__name__}."):
        importlib.import_module(module.name)
    assert sorted(each.name for each in report.findings) == sorted(CHECKS)
    assert report.counts["images"] == {"train": 6, "test": 3}
    assert report.counts["series"] == {
        "train": {"12 bits, unsigned": 1, "16 bits, signed": 1},
        "test": {"16 bits, signed": 1},
    }
    assert report.counts["slices"]["16 bits, signed"] == {
        "series": 2,
        "min": 3,
        "median": 3.0,
        "max": 3,
    }


def test_every_check_says_what_a_run_does(root: Path, tmp_path: Path) -> None:
    report = examine(index_of(root, tmp_path / "out"))
    assert [each.name for each in report.findings if not each.advice] == ["mixed_sizes"]


IMAGE = made_up("one")


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("wrapped_values", {"bits": 12, "intercept": "0"}),
        ("images_without_rescale", {"RescaleSlope": None}),
        ("images_without_rescale", {"RescaleSlope": "0"}),
        ("images_of_another_modality", {"Modality": "OT"}),
        ("images_of_another_size", {"size": (24, 18)}),
        ("id_mismatches", {"SOPInstanceUID": made_up("another")}),
        ("images_without_position", {"position": None}),
        ("studies_without_patient", {"PatientID": None}),
    ],
)
def test_fault_of_one_image_is_found_in_it(
    root: Path, tmp_path: Path, fault: str, options: dict[str, object]
) -> None:
    write_ct(root / "stage_2_train_images", IMAGE, study="one", **options)  # type: ignore[arg-type]
    findings = found(root, tmp_path / "out")
    assert fault in findings
    assert findings[fault].rows["study_id"].to_list() == [study("one")]
    others = set(findings) - {fault}
    # Rescale and patient are read from CT alone.
    not_ct = {"images_without_rescale", "studies_without_patient"}
    assert others == (not_ct if fault == "images_of_another_modality" else set())


def test_values_are_wrapped_only_if_12_unsigned_bits_cannot_hold_air(
    root: Path, tmp_path: Path
) -> None:
    kinds = [(12, "1"), (12, "-99"), (12, "-1024"), (16, "0"), (12, "-1000")]
    for bits, intercept in kinds:
        name = f"{bits}/{intercept}"
        write_ct(
            root / "stage_2_train_images", made_up(name), study=name, bits=bits, intercept=intercept
        )
    findings = found(root, tmp_path / "out")
    assert findings.keys() == {"wrapped_values"}
    assert set(findings["wrapped_values"].rows["study_id"]) == {study("12/1"), study("12/-99")}


@pytest.mark.parametrize(
    ("fault", "heights", "options"),
    [
        ("tied_positions", [0, 5, 5, 10], {}),
        ("changing_steps", [0, 2.4, 4.8, 7.2, 12.6, 18], {}),
        ("tilted_stacks", EVEN, {"tilt": 14.0}),
        ("two_windows", EVEN, {"windows": ("36", "36")}),
    ],
)
def test_fault_of_a_series_is_found_in_it(
    root: Path, tmp_path: Path, fault: str, heights: list[float], options: dict[str, object]
) -> None:
    write_stack(root / "stage_2_test_images", "odd", heights, **options)
    findings = found(root, tmp_path / "out")
    assert findings.keys() == {fault}
    assert findings[fault].rows["study_id"].to_list() == [study("odd")]


@pytest.mark.parametrize(
    ("fault", "other"),
    [
        ("mixed_sizes", {"size": (18, 16)}),
        ("mixed_encodings", {"bits": 12}),
        ("mixed_encodings", {"intercept": "-1000"}),
        ("several_orientations", {"tilt": 14.0}),
        ("studies_of_several_patients", {"patient": "another"}),
        ("studies_of_several_series", {"series": "2"}),
    ],
)
def test_image_unlike_the_others_of_its_study_is_found(
    root: Path, tmp_path: Path, fault: str, other: dict[str, object]
) -> None:
    folder = root / "stage_2_train_images"
    write_ct(folder, IMAGE, study="a", position=(-120, -110, 15), **other)  # type: ignore[arg-type]
    findings = found(root, tmp_path / "out")
    assert findings[fault].rows["study_id"].to_list() == [study("a")]
    # A direction or a size of its own is found as such, too.
    assert findings.keys() <= {fault, "images_of_another_size", "tilted_stacks", "changing_steps"}


def test_different_windows_of_one_image_are_counted(root: Path, tmp_path: Path) -> None:
    folder = root / "stage_2_train_images"
    write_stack(folder, "same", EVEN, windows=("36", "36"))
    write_stack(folder, "unlike", EVEN, windows=("36", "40"))
    rows = found(root, tmp_path / "out")["two_windows"].rows
    counts = {each["study_id"]: (each["two_windows"], each["unlike_windows"]) for each in
              rows.iter_rows(named=True)}  # fmt: skip
    assert counts == {study("same"): (3, 0), study("unlike"): (3, 3)}


def test_patients_of_several_studies_and_of_both_splits_are_found(
    root: Path, tmp_path: Path
) -> None:
    train, test = root / "stage_2_train_images", root / "stage_2_test_images"
    write_stack(train, "first", EVEN, patient="p")
    write_stack(train, "second", EVEN, patient="p")
    write_stack(test, "third", EVEN, patient="p")
    write_stack(test, "again", EVEN, patient="a")
    findings = found(root, tmp_path / "out")
    several = findings["patients_with_several_studies"].rows
    assert set(several["study_id"]) == {study("first"), study("second")}
    both = findings["patients_in_both_splits"].rows
    assert set(both["study_id"]) == set(map(study, ("first", "second", "third", "again", "a")))
    assert both["patient"].n_unique() == 2
    assert both["patient"].is_sorted()


def test_files_are_found_by_what_is_wrong(root: Path, tmp_path: Path) -> None:
    train = root / "stage_2_train_images"
    (first, *_) = sorted(train.glob("*.dcm"))
    (train / "more").mkdir()
    shutil.copy(first, train / "more")
    (train / "more" / f"{first.stem}.DCM").write_bytes(first.read_bytes() + bytes(2))
    shutil.copy(first, root / "stage_2_test_images")
    short = write_ct(train, made_up("short"), study="short", size=(64, 64))
    short.write_bytes(short.read_bytes()[:-4000])
    write_ct(train, made_up("colour"), study="b", PhotometricInterpretation="RGB")
    (train / "notes.txt").write_text("notes")
    findings = found(root, tmp_path / "out")
    assert {name: each.count for name, each in findings.items()} == {
        "short_pixels": 1,
        "repeated_names": 1,
        "unusable_files": 1,
        "copied_files": 1,
        "foreign_files": 1,
        "images_in_both_splits": 1,
        "patients_in_both_splits": 2,
        "series_without_images": 1,
    }
    assert findings["short_pixels"].rows["image_id"].to_list() == [made_up("short")]
    assert findings["series_without_images"].rows["study_id"].to_list() == [study("short")]


def test_images_are_compared_with_the_tables(root: Path, tmp_path: Path) -> None:
    index = index_of(root, tmp_path / "out")
    listed = listed_in(index)
    lacking = pl.DataFrame({"split": ["test"] * 2, "image_id": [made_up("lost")] * 2})
    report = examine(index, listed=pl.concat([listed[1:], lacking]))
    rows = {each.name: each.rows for each in report.findings if each.count}
    assert rows.keys() == {"images_without_a_file", "unlisted_images"}
    assert rows["images_without_a_file"].rows() == [("test", made_up("lost"))]
    assert rows["unlisted_images"]["image_id"].to_list() == listed["image_id"].to_list()[:1]


def test_findings_of_the_labels_come_first() -> None:
    label = Finding("repeated_rows", "Images listed twice", "images", pl.DataFrame({"line": [7]}))
    report = examine(None, label_findings=[label])
    assert report == Report({}, (label,))
    assert report.finding("repeated_rows").count == 1
