"""Atomic writing of files and folders."""

import os
import resource
import stat
from pathlib import Path

import duckdb
import pytest

from lsdc.errors import NoSpaceError
from lsdc.store.files import digest_file, reserve, write_atomic, write_folder


def test_atomic_write_keeps_the_old_file_if_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half() -> None:
        with write_atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_atomic_write_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with write_atomic(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


def test_folder_is_deleted_unless_moved_away(tmp_path: Path) -> None:
    with write_folder(tmp_path) as kept:
        (kept / "a").write_text("a")
        kept.rename(tmp_path / "kept")
    with write_folder(tmp_path) as dropped:
        (dropped / "b").write_text("b")

    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_digest_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert digest_file(tmp_path / "a") == expected


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_permissions_of_written_files_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with write_atomic(tmp_path / "new" / "table.csv") as temporary:
            temporary.write_text("new")
        with write_folder(tmp_path / "crops") as folder:
            folder.rename(tmp_path / "crops" / "kept")
        with write_atomic(tmp_path / "catalog.duckdb") as temporary:
            temporary.unlink()
            duckdb.connect(str(temporary)).close()
    finally:
        os.umask(before)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    file, folder_mode = 0o666 & ~umask, 0o777 & ~umask
    assert found == {
        "new": folder_mode,
        "table.csv": file,
        "crops": folder_mode,
        "kept": folder_mode,
        "catalog.duckdb": file,
    }


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="macOS cannot reserve space")
def test_missing_disk_space_is_detected_before_writing(
    tmp_path: Path,
) -> None:
    (tmp_path / "images.npy").touch()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, limits[1]))
    try:
        with pytest.raises(NoSpaceError, match=rf"{tmp_path}: 2\.0 MB needed, .* are free"):
            reserve(tmp_path / "images.npy", 2 * 10**6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reserve(tmp_path / "images.npy", 2 * 10**6)
    assert (tmp_path / "images.npy").stat().st_blocks * 512 >= 2 * 10**6
