"""Index of flat folders: every file is in one table, however the work is divided."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from pydicom.uid import MRImageStorage

from lsdc.challenges.hemorrhage.index import build
from lsdc.challenges.hemorrhage.index.build import (
    Index,
    join_index,
    read_shard,
    require_usable,
)
from lsdc.challenges.hemorrhage.index.folders import find_folders, list_files
from lsdc.dicom.terms import digest_patient
from lsdc.errors import DataError, StageError
from tests.challenges.hemorrhage.ct_files import made_up, write_ct, write_stack
from tests.challenges.hemorrhage.index.indexing import index_of, one


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a competition's folder: two training studies of one patient and a test study."""
    root = tmp_path / "competition"
    train, test = root / "stage_2_train_images", root / "stage_2_test_images"
    write_stack(train, "a", [10, 0, 5], tilt=20, patient="p")
    write_stack(train, "b", [0, 5.5, 11], bits=12, windows=("36", "36"), patient="p", implicit=True)
    write_stack(test, "c", [0, 5], intercept="-1000")
    return root


def test_image_has_the_values_of_its_header(root: Path, tmp_path: Path) -> None:
    image = made_up("special")
    folder = root / "stage_2_test_images"
    path = write_ct(
        folder,
        image,
        study="c",
        position=(-120.5, 24.25, -7.5),
        tilt=10,
        size=(12, 20),
        bits=12,
        intercept="-1024.000000",
        windows=("30", "36"),
        PixelSpacing=[0.45, 0.5],
    )
    found = one(index_of(root, tmp_path / "out"), image)
    status = path.stat()
    expected = {
        "split": "test",
        "path": str(path),
        "study_id": made_up("study", "c", digits=10),
        "series_id": made_up("series", "c", "1", digits=10),
        "patient": digest_patient(made_up("patient", "c", digits=8).encode()),
        "rows": 12,
        "columns": 20,
        "bits_stored": 12,
        "pixel_representation": 0,
        "rescale_slope": 1.0,
        "rescale_intercept": -1024.0,
        "window_centers": [30.0, 36.0],
        "window_widths": [80.0, 80.0],
        "row_spacing_mm": 0.45,
        "column_spacing_mm": 0.5,
        "position_mm": [-120.5, 24.25, -7.5],
        "instance_number": None,
        "modality": "CT",
        "has_patient_id": True,
        "id_mismatch": False,
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }
    assert {name: found[name] for name in expected} == expected


def test_studies_are_assembled_from_a_flat_folder(root: Path, tmp_path: Path) -> None:
    index = index_of(root, tmp_path / "out")
    studies = index.studies.select("split", "images", "series", "patients").rows()
    assert sorted(studies) == [("test", 2, 1, 1), ("train", 3, 1, 1), ("train", 3, 1, 1)]
    train = index.studies.filter(split="train")
    assert train["patient"].n_unique() == 1
    rows = index.series.filter(study_id=made_up("study", "a", digits=10)).row(0, named=True)
    assert rows["tilt_degrees"] == pytest.approx(20)
    assert rows["step_mm"] == pytest.approx(5 * 0.9396926)
    assert rows["steps_unlike"] == 0


def test_steps_that_change_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "stage_1_train_images"
    write_stack(folder, "even", [0, 5.028, 10, 15.028, 20])
    write_stack(folder, "changing", [0, 2.4, 4.8, 7.2, 7.2, 12.6, 18])
    index = index_of(tmp_path, tmp_path / "out")
    rows = index.series.sort("images").select(
        "images", "steps_unlike", "step_min_mm", "step_max_mm", "tied"
    )
    (even, changing) = rows.rows()
    assert even == (5, 0, pytest.approx(4.972), pytest.approx(5.028), 0)
    assert changing == (7, 2, pytest.approx(2.4), pytest.approx(5.4), 2)


def test_ids_may_have_any_form(tmp_path: Path) -> None:
    folder = tmp_path / "stage_2_train"
    uid = "1.2.840.113619.2.404.3.1074448704"
    write_ct(folder, f"{uid}.7", StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1")
    write_ct(folder, "12", StudyInstanceUID="4711", SeriesInstanceUID="4711.2", PatientID="4711")
    write_ct(folder, "scan", StudyInstanceUID=None, SeriesInstanceUID=None, PatientID=None)
    index = index_of(tmp_path, tmp_path / "out")
    assert set(index.images["image_id"]) == {"12", f"{uid}.7", "scan"}
    assert not index.images["id_mismatch"].any()
    assert one(index, "12")["study_id"] == "4711"
    assert one(index, "12")["series_id"] == "2"
    hidden = one(index, f"{uid}.7")["study_id"]
    assert hidden.isdigit()
    assert "113619" not in hidden
    nameless = one(index, "scan")
    assert (nameless["study_id"], nameless["series_id"]) == ("scan", "scan")
    assert nameless["has_patient_id"] is False
    assert index.images["patient"].n_unique() == 3


@pytest.fixture
def messy(root: Path) -> Path:
    """Return a competition's folder with files that are damaged, doubled, or no images."""
    train = root / "stage_2_train_images"
    first = train / f"{made_up('a', '1', 0)}.dcm"
    (train / "deeper").mkdir()
    shutil.copy(first, train / "deeper" / first.name)
    (train / "deeper" / f"{first.stem}.DCM").write_bytes(first.read_bytes() + b"\0\0")
    short = write_ct(train, made_up("short"), study="a", size=(64, 64))
    short.write_bytes(short.read_bytes()[:-2000])
    (train / f"{made_up('empty')}.dcm").touch()
    (train / f"{made_up('zero')}.dcm").write_bytes(bytes(4096))
    write_ct(train, made_up("colour"), study="a", PhotometricInterpretation="RGB")
    write_ct(train, made_up("alone"), study="lost", Rows=None)
    (train / "labels.csv").write_text("ID,Label\n")
    (train / ".DS_Store").write_bytes(bytes(100))
    report = write_ct(train, made_up("report"), study="a")
    content = report.read_bytes()
    report.write_bytes(
        content.replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.66")
    )
    return root


def test_every_file_has_a_place_and_a_reason(messy: Path, tmp_path: Path) -> None:
    index = index_of(messy, tmp_path / "out")
    assert len(index.images) == 8
    reasons = {
        path.rpartition("/")[2]: reason
        for path, reason in index.quarantine.select("path", "reason").rows()
    }
    short, colour, alone = (f"{made_up(name)}.dcm" for name in ("short", "colour", "alone"))
    assert reasons[short].startswith("truncated")
    assert "not greyscale" in reasons[colour]
    assert "Rows" in reasons[alone]
    assert len(reasons) == 6
    (repeated,) = (name for name in reasons if name.endswith(".DCM"))
    assert reasons[repeated].startswith("another file has the same id")
    kinds = sorted(index.other_files["what"])
    assert kinds == [
        *("copy, byte for byte", "file of the operating system", "not DICOM"),
        "raw data",
    ]
    lost = index.studies.filter(~pl.col("usable"))
    assert lost["study_id"].to_list() == [made_up("study", "lost", digits=10)]
    quarantined = index.series.filter(study_id=made_up("study", "a", digits=10))
    assert quarantined["quarantined"].item() == 3  # short, colour and the one of the same name


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide a few files as many thousands are."""
    monkeypatch.setattr("lsdc.challenges.hemorrhage.index.folders._FILES_A_PART", 2)
    monkeypatch.setattr(build, "PARTS_A_BLOCK", 2)
    monkeypatch.setattr(build, "_IMAGES_AT_ONCE", 4)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("small_blocks")
def test_any_division_gives_the_same_tables(messy: Path, tmp_path: Path) -> None:
    whole, divided = tmp_path / "whole", tmp_path / "divided"
    index_of(messy, whole)
    files = list_files(find_folders(messy))
    assert files["part"].n_unique() > 4
    shards = []
    for name, own in files.group_by("split", "part"):
        shards.append(tmp_path / "-".join(map(str, name)))
        shards[-1].mkdir()
        read_shard(own, shards[-1], root=messy)
    divided.mkdir()
    join_index(shards[::-1], divided)
    assert contents(divided) == contents(whole)


@pytest.mark.usefixtures("small_blocks")
def test_cached_headers_are_not_read_again(root: Path, tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    index_of(root, tmp_path / "first", headers=headers)
    cached = {path: path.stat().st_mtime_ns for path in headers.rglob("*.parquet")}
    assert len(cached) > 2
    index_of(root, tmp_path / "second", headers=headers)
    assert contents(tmp_path / "second") == contents(tmp_path / "first")
    assert {path: path.stat().st_mtime_ns for path in headers.rglob("*.parquet")} == cached
    write_ct(root / "stage_2_train_images", made_up("new"), study="b", position=(0, 0, 99))
    third = index_of(root, tmp_path / "third", headers=headers)
    assert one(third, made_up("new"))["order"] == 3
    new = set(headers.rglob("*.parquet")) - set(cached)
    assert sum(len(pl.read_parquet(path)) for path in new) == 1


def test_progress_counts_all_files(root: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    index_of(root, tmp_path / "out", on_progress=lambda *each: heard.append(each))
    assert heard == sorted(heard)
    assert heard[-1] == (8, 8)


def test_folders_without_files_give_empty_tables(tmp_path: Path) -> None:
    (tmp_path / "stage_2_train_images").mkdir()
    index = index_of(tmp_path, tmp_path / "out")
    assert not any(len(getattr(index, name)) for name in vars(index))


def test_both_splits_are_loaded_together(root: Path, tmp_path: Path) -> None:
    both = index_of(root, tmp_path / "out")
    folders = find_folders(root)
    halves = []
    for split in ("train", "test"):
        shard, out = tmp_path / f"{split}-shard", tmp_path / split
        shard.mkdir()
        out.mkdir()
        read_shard(list_files({split: folders[split]}), shard, root=root)
        join_index([shard], out)
        halves.append(out)
    loaded = Index.load(*halves)
    assert loaded.images.sort("split", "study_id", "order").equals(both.images)


def test_too_many_bad_files_and_lost_studies_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "stage_2_train_images"
    write_stack(folder, "a", range(5))
    write_stack(folder, "b", range(10), PhotometricInterpretation="RGB")
    out = tmp_path / "out"
    index_of(tmp_path, out)
    require_usable(out, max_bad=1.0, strict=False)
    with pytest.raises(StageError, match="10 of 15 files cannot be used"):
        require_usable(out, max_bad=0.5, strict=False)
    with pytest.raises(DataError, match=f"1 study .*{made_up('study', 'b', digits=10)}"):
        require_usable(out, max_bad=1.0, strict=True)


def test_object_of_another_class_counts_if_it_may_be_a_slice(root: Path, tmp_path: Path) -> None:
    path = write_ct(root / "stage_2_train_images", made_up("x"), SOPClassUID=MRImageStorage)
    assert one(index_of(root, tmp_path / "out"), path.stem)["modality"] == "CT"
