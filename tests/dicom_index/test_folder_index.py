"""Index of a tree: every entry is listed once, no file is read twice, bad files are limited."""

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.dicom.names import unescape_name
from lsdc.dicom_index import index as index_module
from lsdc.dicom_index import tables as index_tables
from lsdc.dicom_index.folder_index import index_tree, refuse_bad_tree
from lsdc.dicom_index.index import Index
from lsdc.errors import DataError, StageError
from tests.dicom_index.indexing import assert_same, index, read_tables, some_series, write_slice


@pytest.mark.parametrize("with_tables", [True, False])
def test_unchanged_tree_is_not_read_again(copy: Path, tmp_path: Path, with_tables: bool) -> None:
    options = {
        "headers": tmp_path / "headers",
        "listing": open_competition(copy) if with_tables else None,
    }
    first, tables = index(copy, tmp_path / "first", **options)
    assert first.read == first.files > 400
    second, again = index(copy, tmp_path / "second", **options)
    assert second.read == 0
    assert second.state == first.state
    assert_same(again, tables)


def test_tables_of_an_unchanged_tree_are_not_rewritten(copy: Path, tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    first, _ = index(copy, tmp_path / "first", headers=headers)
    out = tmp_path / "second"
    out.mkdir()
    again = index_tree(copy, out, headers=headers, known=first)
    assert (again.read, again.files, again.state) == (0, first.files, first.state)
    assert list(out.iterdir()) == []
    (some_series(copy) / "1.dcm").unlink()
    fewer = index_tree(copy, out, headers=headers, known=first)
    assert (fewer.read, fewer.files) == (0, first.files - 1)
    assert fewer.state != first.state
    assert len(read_tables(out)["instances"]) == fewer.instances


def change_bytes(path: Path) -> None:
    """Change the bytes and size of a file, but not its mtime."""
    status = path.stat()
    with path.open("ab") as file:
        file.write(b"\0\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_number(path: Path) -> None:
    """Change the instance number of a file, but not its size."""
    dataset = pydicom.dcmread(path)
    dataset.InstanceNumber = (int(dataset.InstanceNumber or 0) + 1) % 10
    dataset.save_as(path)


def test_only_changed_files_are_read_and_the_tables_equal_a_fresh_index(
    copy: Path, tmp_path: Path
) -> None:
    one, other = some_series(copy, 0), some_series(copy, 3)
    kept = tmp_path / "kept.dcm"
    number = len(list(other.iterdir()))

    def add() -> int:
        shutil.copy(one / "2.dcm", one / "902.dcm")
        (other / "notes.txt").write_text("Some notes.")
        (copy / "new/deep").mkdir(parents=True)
        shutil.copy(one / "3.dcm", copy / "new/deep/anything")
        return 3

    def change() -> int:
        change_bytes(one / "2.dcm")
        os.utime(one / "3.dcm", ns=(0, 0))
        change_number(one / "4.dcm")
        return 3

    def break_one() -> int:
        (one / "5.dcm").write_bytes(b"")
        os.truncate(one / "6.dcm", 900)
        return 2

    def rename() -> int:
        (one / "902.dcm").rename(one / "903.dcm")
        other.rename(other.with_name("4242"))
        return 1 + number + 1

    def delete() -> int:
        shutil.copy2(one / "2.dcm", kept)
        (one / "2.dcm").unlink()
        shutil.rmtree(copy / "new")
        return 0

    def add_back() -> int:
        shutil.copy2(kept, one / "2.dcm")
        return 0

    def mend() -> int:
        shutil.copy(one / "3.dcm", one / "5.dcm")
        return 1

    headers = tmp_path / "headers"
    index(copy, tmp_path / "out", headers=headers)
    steps: list[Callable[[], int]] = [add, change, break_one, rename, delete, add_back, mend]
    for step in steps:
        expected = step()
        indexed, tables = index(copy, tmp_path / "out", headers=headers)
        assert indexed.read == expected, step.__name__
        _, fresh = index(copy, tmp_path / "fresh")
        assert_same(tables, fresh)
        again, _ = index(copy, tmp_path / "out", headers=headers)
        assert again.read == 0, step.__name__


def test_transient_failures_are_read_again_next_time(tree: Path, tmp_path: Path) -> None:
    write_slice(tree / "1.dcm")
    (tree / "dangling.dcm").symlink_to(tree / "2.dcm")
    headers = tmp_path / "headers"
    for _ in range(2):
        indexed, tables = index(tree, tmp_path / "out", headers=headers)
        assert tables["quarantine"]["reason"].to_list() == [
            "cannot be opened: No such file or directory"
        ]
    assert indexed.read == 1  # only the dangling link
    write_slice(tree / "2.dcm", number=2, position=(0, 0, 4))
    indexed, tables = index(tree, tmp_path / "out", headers=headers)
    assert indexed.read == 2
    assert len(tables["instances"]) == 2
    assert tables["other_files"]["copy_of"].to_list() == [str(tree / "2.dcm")]


def test_another_version_of_the_reader_reads_all_files_again(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = tmp_path / "headers"
    first, _ = index(copy, tmp_path / "out", headers=headers)
    monkeypatch.setattr(index_module, "reading_version", lambda: "another")
    again, _ = index(copy, tmp_path / "out", headers=headers)
    assert again.read == first.files


def test_index_in_several_parts_gives_the_same_tables(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("scans", "more/scans"):
        shutil.copytree(some_series(copy), copy / folder)
        (copy / folder / "empty").touch()
    _, whole = index(copy, tmp_path / "whole")
    monkeypatch.setattr(index_tables, "_ROWS_AT_ONCE", 50)
    _, parts = index(copy, tmp_path / "parts")
    assert_same(parts, whole)


def test_folders_with_only_bad_files_are_sorted(tree: Path, tmp_path: Path) -> None:
    folders = [f"{name:02d}" for name in range(40)]
    random.Random(0).shuffle(folders)
    for folder in folders:
        (tree / folder).mkdir()
        (tree / folder / "empty.dcm").touch()
    _, first = index(tree, tmp_path / "first", headers=tmp_path / "headers")
    for folder in folders[:20]:
        os.utime(tree / folder / "empty.dcm", ns=(0, 0))
    _, later = index(tree, tmp_path / "later", headers=tmp_path / "headers")
    for name in ("series", "studies"):
        assert first[name].equals(later[name])


def write_unusual_entries(root: Path, good: Path) -> dict[str, str]:
    """Write entries of every kind; return names and reasons of those that are not images."""
    (root / "deeper").mkdir()
    (root / "empty.dcm").touch()
    (root / "deeper/text.txt").write_text("no image, " * 100)
    (root / "short").write_bytes(b"DICM")
    os.mkfifo(root / "fifo.dcm")
    (root / "dangling.dcm").symlink_to("nowhere")
    (root / "loop.dcm").symlink_to("loop.dcm")
    (root / "deeper/up").symlink_to("..")
    shutil.copy(good, root / "copy without a suffix")
    (root / "link.dcm").symlink_to(good)
    whole = good.read_bytes()
    (root / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    reasons = {
        "empty.dcm": "0 bytes, expected at least 256",
        "deeper/text.txt": "not DICOM",
        "short": "not DICOM",
        "fifo.dcm": "not a regular file",
        "dangling.dcm": "No such file",
        "loop.dcm": "Too many levels of symbolic links",
        "deeper/up": "not DICOM",
        "copy without a suffix": "copy, byte for byte",
        "link.dcm": "copy, byte for byte",
        "cut.dcm": "truncated",
    }
    if sys.platform != "darwin":  # its file names are UTF-8
        shutil.copy(good, os.fsencode(root) + b"/caf\xe9%.dcm")
        reasons["caf%E9%25.dcm"] = "copy, byte for byte"
        with open(os.fsencode(root) + b"/\xff.dcm", "wb"):  # noqa: PTH123  # bytes are no Path
            reasons["%FF.dcm"] = "0 bytes"
    return reasons


def test_every_entry_is_an_instance_or_in_quarantine(tree: Path, tmp_path: Path) -> None:
    good = write_slice(tree / "good.dcm")
    reasons = write_unusual_entries(tree, good)
    indexed, tables = index(tree, tmp_path / "out")  # it checks that each is one row
    quarantine = dict(tables["quarantine"].select("path", "reason").iter_rows())
    quarantine |= dict(tables["other_files"].select("path", "what").iter_rows())
    assert {path.removeprefix(f"{tree}/") for path in quarantine} == set(reasons)
    for name, reason in reasons.items():
        assert reason in quarantine[f"{tree}/{name}"]
    names = {path.removeprefix(f"{tree}/") for path in tables["instances"]["path"]}
    assert names == {"good.dcm"}
    assert indexed.files == len(reasons) + len(names)
    paths = [*tables["instances"]["path"], *quarantine]
    assert all(os.path.lexists(unescape_name(path)) for path in paths)


@pytest.fixture
def locked(tree: Path) -> Iterator[Path]:
    """Return a tree with a file and a folder without read permission."""
    write_slice(tree / "locked.dcm").chmod(0)
    write_slice(tree / "folder/1.dcm")
    (tree / "folder").chmod(0)
    if os.access(tree / "locked.dcm", os.R_OK):
        pytest.skip("the user may read everything")
    yield tree
    (tree / "folder").chmod(0o700)


def test_files_and_folders_without_read_permission_are_quarantined(
    locked: Path, tmp_path: Path
) -> None:
    _, tables = index(locked, tmp_path / "out")
    assert tables["quarantine"]["reason"].to_list() == ["cannot be opened: Permission denied"] * 2


def test_tree_without_files_has_empty_tables(tree: Path, tmp_path: Path) -> None:
    indexed, tables = index(tree, tmp_path / "out", headers=tmp_path / "headers")
    assert (indexed.files, indexed.instances) == (0, 0)
    assert all(table.is_empty() for table in tables.values())


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        index_tree(tmp_path / "nowhere", tmp_path)


def empty_files(paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(b"")


def tabulated(root: Path, out: Path, competition: Competition | None) -> Index:
    index(root, out, listing=competition)
    return Index.load(out)


def test_too_many_bad_files_are_refused_after_the_tables_are_written(
    copy: Path, tmp_path: Path
) -> None:
    competition = open_competition(copy)
    empty_files(sorted((copy / "train_images").rglob("*.dcm"))[:12])
    for tables in (competition, None):
        found = tabulated(copy, tmp_path / f"{tables is None}", tables)
        assert len(found.quarantine) >= 12
        with pytest.raises(StageError, match=r"index: 1\d of 4\d\d files cannot be used.*0 bytes"):
            refuse_bad_tree(found, tables, max_bad=0.01)
        refuse_bad_tree(found, tables, max_bad=0.1)


def test_files_that_are_not_images_do_not_count_as_bad(copy: Path, tmp_path: Path) -> None:
    (copy / "notes").mkdir()
    for n in range(100):
        (copy / f"notes/{n}.txt").write_text(f"{n}")
        (copy / f"notes/{n}").write_text("words " * 100)
        (copy / f"notes/{n}.md").symlink_to("nowhere")
    for tables in (open_competition(copy), None):
        found = tabulated(copy, tmp_path / "out", tables)
        refuse_bad_tree(found, tables, max_bad=0.01)
        assert len(found.other_files) >= 300  # they are still listed


def test_bad_files_of_unlisted_series_do_not_count_as_bad(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(some_series(copy), copy / "train_images/100/200")
    paths = sorted((copy / "train_images/100/200").iterdir())
    assert len(paths) >= 10
    empty_files(paths)
    competition = open_competition(copy)
    refuse_bad_tree(tabulated(copy, tmp_path / "out", competition), competition, max_bad=0.01)
    with pytest.raises(StageError):
        refuse_bad_tree(tabulated(copy, tmp_path / "out", None), None, max_bad=0.01)
