"""Other files: files that are not slices are counted separately, and copies are used once."""

import os
import shutil
from pathlib import Path

import polars as pl
import pydicom
import pytest
from pydicom.uid import UID, generate_uid

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.dicom.preflight import LARGEST_FILE_BYTES
from lsdc.dicom_index.folder_index import index_tree, refuse_bad_tree
from lsdc.dicom_index.index import Index, series_without_images
from lsdc.dicom_index.quarantine import Quarantine, group_reasons, refuse_bad_files
from lsdc.errors import StageError
from tests.dicom_index.indexing import build_index, index, write_slice, write_tables

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(4000)


def kinds(root: Path, out: Path) -> dict[str, list[str]]:
    """Return the names of other files of a tree by type; assert that no file is bad."""
    _, tables = index(root, out)
    assert tables["quarantine"].is_empty()
    names = tables["other_files"].with_columns(pl.col("path").str.extract(r"([^/]*)$"))
    return {what: sorted(own["path"]) for (what,), own in names.sort("what").group_by("what")}


def write_object(path: Path, sop_class: str, **tags: object) -> Path:
    """Write a DICOM object without an image, or with additional tags."""
    write_slice(path)
    dataset = pydicom.dcmread(path)
    for keyword in ("Rows", "Columns", "ImagePositionPatient", "PixelSpacing", "PixelData"):
        del dataset[keyword]
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = generate_uid()
    dataset.save_as(path)
    return path


STORAGE = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    ("sop_class", "what"),
    [
        (f"{STORAGE}88.11", "structured report"),
        (f"{STORAGE}88.59", "key object selection"),
        (f"{STORAGE}11.1", "presentation state"),
        (f"{STORAGE}7", "secondary capture"),
        (f"{STORAGE}7.4", "secondary capture"),
        (f"{STORAGE}481.3", "radiotherapy object"),
        (f"{STORAGE}66.4", "segmentation"),
        (f"{STORAGE}66", "raw data"),
        (f"{STORAGE}9.1.1", "waveform"),
        (f"{STORAGE}104.1", "document"),
        ("1.2.840.10008.1.3.10", "DICOMDIR"),
        ("1.2.840.10008.5.1.4.38.1", "DICOM of another class (1.2.840.10008.5.1.4.38.1)"),
        ("1.3.12.2.1107.5.9.1", "DICOM without an image"),
    ],
)
def test_objects_of_other_sop_classes_are_described(
    sop_class: str, what: str, tmp_path: Path
) -> None:
    write_slice(tmp_path / "tree/1.dcm")
    write_object(tmp_path / "tree/2.dcm", sop_class)
    assert kinds(tmp_path / "tree", tmp_path / "out") == {what: ["2.dcm"]}


def test_secondary_capture_with_a_position_is_not_a_slice(tmp_path: Path) -> None:
    write_slice(tmp_path / "tree/1.dcm")
    write_slice(tmp_path / "tree/2.dcm", number=2, SOPClassUID=f"{STORAGE}7")
    assert kinds(tmp_path / "tree", tmp_path / "out") == {"secondary capture": ["2.dcm"]}


LISTED = [("100", "200", "Sagittal T1"), ("100", "300", "Axial T2")]


def built(competition: Competition, out: Path) -> Index:
    """Return the index of the training split as a run builds it."""
    out.mkdir()
    build_index(competition, "train", out)
    return Index.load(out)


@pytest.mark.parametrize("sop_class", ["7", "7.2", "6.2", "12.1"])
def test_slices_of_a_listed_series_may_have_other_sop_classes(
    sop_class: str, tmp_path: Path
) -> None:
    competition = write_tables(tmp_path / "data", LISTED)
    folder = tmp_path / "data/train_images/100/200"
    for n in range(1, 4):
        write_slice(
            folder / f"{n}.dcm", number=n, position=(0, 0, n), SOPClassUID=f"{STORAGE}{sop_class}"
        )
    lacking: list[dict[str, object]] = [
        {"ImagePositionPatient": None},
        {"PixelSpacing": None},
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
        {"NumberOfFrames": 2},
    ]
    for n, tags in enumerate(lacking, start=4):
        write_slice(folder / f"{n}.dcm", number=n, SOPClassUID=f"{STORAGE}{sop_class}", **tags)
    write_slice(folder / "9.dcm", number=9, SOPClassUID=f"{STORAGE}481.2")
    found = built(competition, tmp_path / "out")
    assert found.instances["instance_number"].to_list() == [1, 2, 3]
    assert len(found.other_files) == 5
    assert found.quarantine.is_empty()


def test_listed_series_without_slices_reports_its_other_files(tmp_path: Path) -> None:
    competition = write_tables(tmp_path / "data", LISTED)
    folder = tmp_path / "data/train_images/100/200"
    for n in (1, 2):
        write_slice(
            folder / f"{n}.dcm", SOPClassUID=f"{STORAGE}7", ImagePositionPatient=None, number=n
        )
    write_object(folder / "3.dcm", f"{STORAGE}88.11")
    write_slice(folder / "4.dcm", ImagePositionPatient=None)
    found = built(competition, tmp_path / "out")
    assert series_without_images(found) == [
        "100/200 (1 quarantined; skipped: 2 secondary capture, 1 structured report)",
        "100/300 (no file)",
    ]
    ids = found.other_files.select("study_id", "series_id").unique().rows()
    assert ids == [(100, 200)]


def test_folder_of_a_listed_study_is_not_reported_as_unlisted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    competition = write_tables(tmp_path / "data", LISTED)
    study = tmp_path / "data/train_images/100"
    write_slice(study / "200/1.dcm")
    for name in (".DS_Store", "Thumbs.db", "DICOMDIR"):
        (study / name).write_bytes(bytes(5000))
    built(competition, tmp_path / "clean")
    assert "that no table lists" not in caplog.text
    assert "outside the series" not in caplog.text
    write_slice(study / "7.dcm")
    write_slice(study / "400/1.dcm")
    built(competition, tmp_path / "out")
    assert f"skipped 1 folder that no table lists: {study}/400" in caplog.text
    assert f"1 study with files outside the series folders, not read: {study} (1)" in caplog.text


def test_image_with_a_private_or_missing_sop_class_is_used(tmp_path: Path) -> None:
    write_slice(tmp_path / "1.dcm", SOPClassUID="1.3.12.2.1107.5.9.2")
    path = write_slice(tmp_path / "2.dcm", number=2, position=(0, 0, 4))
    dataset = pydicom.dcmread(path)
    del dataset.SOPClassUID, dataset.file_meta.MediaStorageSOPClassUID
    dataset.save_as(path, enforce_file_format=False)
    _, tables = index(tmp_path, tmp_path.parent / "out")
    assert len(tables["instances"]) == 2


def test_files_of_operating_systems_are_skipped(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for n in range(1, 4):
        write_slice(tree / f"{n}.dcm", number=n, position=(0, 0, n))
        (tree / f"._{n}.dcm").write_bytes(APPLE_DOUBLE)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (tree / name).write_bytes(bytes(5000))
    (tree / "DICOMDIR").write_bytes(b"whatever")
    assert kinds(tree, tmp_path / "out") == {
        "AppleDouble (macOS)": ["._1.dcm", "._2.dcm", "._3.dcm"],
        "file of the operating system": [".DS_Store", "Thumbs.db", "desktop.ini"],
        "DICOMDIR": ["DICOMDIR"],
    }


@pytest.mark.parametrize("content", [b"", bytes(4096), b"\x00\x05\x16\x00" + bytes(4000)])
@pytest.mark.parametrize("name", ["._1.dcm", "._1"])
def test_file_named_like_an_apple_double_that_is_not_dicom_is_skipped(
    name: str, content: bytes, tmp_path: Path
) -> None:
    competition = write_tables(tmp_path / "data", LISTED)
    folder = tmp_path / "data/train_images/100/200"
    write_slice(folder / "1.dcm")
    (folder / name).write_bytes(content)
    found = built(competition, tmp_path / "out")
    assert found.quarantine.is_empty()
    assert found.other_files["what"].to_list() == ["not DICOM"]


def test_slice_named_like_an_apple_double_is_used(tmp_path: Path) -> None:
    write_slice(tmp_path / "tree/._1.dcm")
    assert kinds(tmp_path / "tree", tmp_path / "out") == {}


@pytest.mark.parametrize("copy", ["1(1).dcm", "01.dcm", "0.dcm", "Copy of 1.dcm", "deeper/1.dcm"])
def test_identical_copy_is_used_once(copy: str, tmp_path: Path) -> None:
    tree = tmp_path / "train_images/100/200"
    for n in range(1, 4):
        write_slice(tree / f"{n}.dcm", number=n, position=(0, 0, n))
    (tree / copy).parent.mkdir(exist_ok=True)
    shutil.copy(tree / "1.dcm", tree / copy)
    _, tables = index(tmp_path / "train_images", tmp_path / "out")
    assert tables["quarantine"].is_empty()
    assert tables["other_files"].select("path", "copy_of").rows() == [
        (str(tree / copy), str(tree / "1.dcm"))
    ]
    assert tables["instances"]["instance_number"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("copy", ["2(1).dcm", "02.dcm", "echo/2.dcm"])
def test_copy_that_differs_only_outside_the_image_is_used_once(copy: str, tmp_path: Path) -> None:
    competition = write_tables(tmp_path / "data", LISTED)
    folder = tmp_path / "data/train_images/100/200"
    for n in range(1, 4):
        write_slice(folder / f"{n}.dcm", number=n, position=(0, 0, n), PixelData=bytes([n]) * 512)
    (folder / copy).parent.mkdir(exist_ok=True)
    content = (folder / "2.dcm").read_bytes()
    (folder / copy).write_bytes(b"x" * 128 + content[128:] + bytes(2))
    found = built(competition, tmp_path / "out")
    assert found.quarantine.is_empty()
    assert found.other_files.select("path", "what", "copy_of").rows() == [
        (str(folder / copy), "copy of an image", str(folder / "2.dcm"))
    ]
    assert found.instances["instance_number"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("name", ["1.2.{}.dcm", "IM_{}", "echo{}/1.dcm"])
def test_slices_with_one_number_are_numbered_by_position_if_names_have_none(
    name: str, tmp_path: Path
) -> None:
    competition = write_tables(tmp_path / "data", LISTED)
    folder = tmp_path / "data/train_images/100/200"
    for n in range(1, 5):
        write_slice(folder / name.format(n), position=(0, 0, n))
    found = built(competition, tmp_path / "out")
    assert found.quarantine.is_empty()
    rows = found.instances.select("instance_number", pl.col("position_mm").arr.get(2)).rows()
    assert rows == [(n, n) for n in range(1, 5)]


def test_too_large_files_are_quarantined_and_never_read_completely(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "tree/1.dcm")
    with path.open("rb+") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    twin = path.with_name("1(1).dcm")
    twin.write_bytes(path.read_bytes()[:4096])
    os.truncate(twin, LARGEST_FILE_BYTES + 1)
    _, tables = index(tmp_path / "tree", tmp_path / "out")
    assert len(tables["quarantine"]) == 2
    assert len(tables["other_files"]) == 0
    assert f"expected at most {LARGEST_FILE_BYTES}" in tables["quarantine"]["reason"][0]


def test_different_files_of_the_same_size_are_not_copies(tmp_path: Path) -> None:
    for n in range(2):
        write_slice(tmp_path / f"tree/{n}.dcm", PixelData=bytes([n]) * 512)
    _, tables = index(tmp_path / "tree", tmp_path / "out")
    assert len(tables["instances"]) == 2


def test_empty_files_are_not_copies_of_each_other(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for n in range(12):
        (tree / f"{n}.dcm").touch()
    _, tables = index(tree, tmp_path / "out")
    assert len(tables["quarantine"]) == 12


def test_other_files_do_not_count_as_bad(phantom: Path, tmp_path: Path) -> None:
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    images = sorted((root / "train_images").rglob("*.dcm"))
    for path in images:
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)
        shutil.copy(path, path.with_name(f"{path.stem}(1).dcm"))
    write_object(images[0].with_name("900.dcm"), f"{STORAGE}88.11")
    competition = open_competition(root)
    build_index(competition, "train", tmp_path, max_bad=0.0)
    found = Index.load(tmp_path)
    without = tmp_path / "without"
    without.mkdir()
    build_index(open_competition(phantom), "train", without)
    assert len(found.instances) == len(Index.load(without).instances)
    tree = tmp_path / "tree"
    tree.mkdir()
    index_tree(root, tree, listing=competition)
    refuse_bad_tree(Index.load(tree), competition, max_bad=0.0)


def test_home_inside_the_tree_is_skipped(tmp_path: Path) -> None:
    tree, home = tmp_path / "tree", tmp_path / "tree/deep/home"
    write_slice(tree / "1.dcm")
    write_slice(home / "2.dcm")
    for leave_out in (home, tmp_path / "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(home)
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        assert index_tree(tree, out, leave_out=leave_out).files == 1


# Reasons of the quarantine


def quarantine(*reasons: str) -> pl.DataFrame:
    rows = [
        {"path": f"/{n}.dcm", "stage": "index", "reason": reason}
        for n, reason in enumerate(reasons)
    ]
    return pl.DataFrame(rows, schema=pl.Schema(Quarantine))


def test_reasons_that_differ_only_in_numbers_are_grouped() -> None:
    reasons = [f"instance number {n} is repeated in the series" for n in (1, 2, 30)]
    reasons += ["truncated: 12 bytes, expected at least 0.5 of pixels"] * 2
    reasons += [f"transfer syntax 1.2.840.10008.1.2.4.{end}, not supported" for end in (1, 2)]
    found = group_reasons(quarantine(*reasons))
    assert found.rows() == [
        (3, "instance number 1 is repeated in the series", "/0.dcm"),
        (2, reasons[3], "/3.dcm"),
        (1, reasons[5], "/5.dcm"),
        (1, reasons[6], "/6.dcm"),
    ]


def test_refusal_has_the_commonest_reason_its_count_and_first_file() -> None:
    repeats = [f"instance number {n} is repeated in the series" for n in range(11)]
    rows = quarantine("0 bytes", *repeats)
    with pytest.raises(StageError, match=r"\(11 files\): instance number 0 is .*\(/1\.dcm\)"):
        refuse_bad_files("index", rows, total=100, max_bad=0.01)
