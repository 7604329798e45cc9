"""Walk: every file of a tree is listed once, for any links, names and permissions."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from lsdc.dicom.names import escape_name, unescape_name
from lsdc.dicom.walk import Files, list_tree, list_trees


def names_below(root: Path) -> list[str]:
    """Return the entries that `list_tree` finds, relative to the root."""
    listed = list_tree(root, with_status=False)
    assert listed.schema == pl.Schema(Files)
    whole = (listed["folder"] + "/" + listed["name"]).to_list()
    prefix = f"{escape_name(root)}/"
    assert all(name.startswith(prefix) for name in whole)
    return [name.removeprefix(prefix) for name in whole]


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_files_are_sorted_by_folder_and_name(tmp_path: Path) -> None:
    make(tmp_path, "b/2", "b/1", "a/z/9", "a/5", "c", "0")
    assert names_below(tmp_path) == ["0", "c", "a/5", "a/z/9", "b/1", "b/2"]


def test_empty_folder_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert names_below(tmp_path) == []


def test_circular_links_are_not_followed_forever(tmp_path: Path) -> None:
    make(tmp_path, "a/1", "a/b/2")
    (tmp_path / "a/b/up").symlink_to("..")
    (tmp_path / "a/root").symlink_to(tmp_path)
    (tmp_path / "here").symlink_to(".")
    # Links to visited folders are listed as entries, and are refused as files later.
    assert sorted(names_below(tmp_path)) == ["a/1", "a/b/2", "a/b/up", "a/root", "here"]


def test_link_to_itself_is_an_entry(tmp_path: Path) -> None:
    make(tmp_path, "1")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "ping").symlink_to("pong")
    (tmp_path / "pong").symlink_to("ping")
    assert names_below(tmp_path) == ["1", "loop", "ping", "pong"]
    assert list_tree(tmp_path, with_status=True)["bytes"].null_count() == 0


def test_linked_folder_is_listed_at_its_real_path(tmp_path: Path) -> None:
    make(tmp_path, "z/1", "z/2")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "b").symlink_to("z")
    assert names_below(tmp_path) == ["z/1", "z/2", "a", "b"]


def test_linked_folder_outside_the_tree_is_listed_once(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    make(outside, "1", "inner/2")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(outside)
    (root / "b").symlink_to(outside)
    (root / "c").symlink_to(outside / "inner")
    assert names_below(root) == ["a/1", "a/inner/2", "b", "c"]


def test_linked_files_and_dangling_links_are_entries(tmp_path: Path) -> None:
    make(tmp_path, "file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("file")
    listed = list_tree(tmp_path, with_status=True)
    assert listed["name"].to_list() == ["dangling", "file", "link"]
    # Size of the target of a link; of the link itself if it is dangling.
    assert listed["bytes"].to_list() == [len("nowhere"), len("file"), len("file")]
    times = [(tmp_path / name).lstat().st_mtime_ns for name in ("dangling", "file", "file")]
    assert listed["mtime_ns"].to_list() == times


def test_fifos_and_sockets_are_entries(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert names_below(tmp_path) == ["fifo"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """Return a folder without read permission."""
    folder = tmp_path / "locked"
    make(folder, "1")
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        pytest.skip("the user may read everything")
    yield folder
    folder.chmod(0o700)


def test_folder_without_read_permission_is_an_entry(locked: Path) -> None:
    make(locked.parent, "a/1")
    (locked.parent / "into").symlink_to(locked / "1")
    assert sorted(names_below(locked.parent)) == ["a/1", "into", "locked"]


def test_folder_that_is_deleted_during_the_walk_is_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/1", "b/2")
    scan = os.scandir

    def scan_and_remove(folder: str) -> "os._ScandirIterator[str]":
        if folder == os.fspath(tmp_path / "a"):
            (tmp_path / "b/2").unlink()
            (tmp_path / "b").rmdir()
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scan_and_remove)
    listed = list_tree(tmp_path, with_status=True)
    assert listed["name"].to_list() == ["1", "b"]
    assert listed["bytes"].to_list() == [len("a/1"), None]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps names in UTF-8")
def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102  # bytes are no Path
    for name in (b"\xff.dcm", b"100%.dcm", "größe.dcm".encode()):
        with open(folder + b"/" + name, "wb"):  # noqa: PTH123
            pass
    listed = names_below(tmp_path)
    assert listed == ["caf%E9/100%25.dcm", "caf%E9/größe.dcm", "caf%E9/%FF.dcm"]
    assert all(os.path.exists(unescape_name(f"{tmp_path}/{name}")) for name in listed)  # noqa: PTH110


def test_size_and_mtime_are_read_only_on_request(tmp_path: Path) -> None:
    make(tmp_path, "1", "22")
    without, with_status = (list_tree(tmp_path, with_status=wanted) for wanted in (False, True))
    assert without.select("bytes", "mtime_ns").null_count().row(0) == (2, 2)
    assert with_status["bytes"].to_list() == [1, 2]
    assert with_status.select("folder", "name").equals(without.select("folder", "name"))


def test_trees_are_listed_in_the_given_order_and_independently(tmp_path: Path) -> None:
    make(tmp_path, "a/2", "a/1", "b/3", "b/deeper/4")
    (tmp_path / "c").symlink_to("a")
    listed = list_trees([tmp_path / name for name in "bac"], with_status=True)
    assert listed["name"].to_list() == ["3", "4", "1", "2", "1", "2"]
    below = ["b", "b/deeper", "a", "a", "c", "c"]
    assert listed["folder"].to_list() == [f"{tmp_path}/{folder}" for folder in below]
    assert listed["bytes"].to_list() == [3, 10, 3, 3, 3, 3]


def test_folders_listed_apart_come_first_and_only_once(tmp_path: Path) -> None:
    make(tmp_path, "0", "a/1", "b/2", "b/inner/3")
    (tmp_path / "link").symlink_to("b")
    listed = list_tree(tmp_path, with_status=False, apart=[tmp_path / "link", tmp_path / "b"])
    whole = (listed["folder"] + "/" + listed["name"]).to_list()
    expected = ["link/2", "link/inner/3", "b/2", "b/inner/3", "0", "a/1"]
    assert whole == [f"{tmp_path}/{name}" for name in expected]


@pytest.mark.parametrize("name", ["home", "deep/home", "linked"])
def test_folder_that_is_left_out_is_not_listed(tmp_path: Path, name: str) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    make(outside, "5")
    make(tree, "1", "deep/2", "home/3", "deep/home/4")
    (tree / "linked").symlink_to(outside)
    listed = list_tree(tree, with_status=False, leave_out=tree / name)
    names = {"1", "2", "3", "4", "5"} - {{"home": "3", "deep/home": "4", "linked": "5"}[name]}
    assert set(listed["name"]) == names


def test_tree_with_more_files_than_a_block_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, *(f"{folder}/{name}" for folder in "abc" for name in range(7)))
    whole = list_tree(tmp_path, with_status=True)
    monkeypatch.setattr("lsdc.dicom.walk._BLOCK", 4)
    assert list_tree(tmp_path, with_status=True).equals(whole)
    assert isinstance(whole, pl.DataFrame)


def test_folder_with_more_files_than_a_block_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, *(f"{number:02d}" for number in range(10)), "inner/x")
    whole = list_tree(tmp_path, with_status=True)
    monkeypatch.setattr("lsdc.dicom.walk._BLOCK", 3)
    assert list_tree(tmp_path, with_status=True).equals(whole)
    assert len(whole) == 11
