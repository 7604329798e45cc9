from pathlib import Path

import pytest

from lsdc.store.files import digest_file, write_atomic, write_folder


def test_atomic_write_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
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


def test_folder_is_gone_unless_moved_away(tmp_path: Path) -> None:
    with write_folder(tmp_path) as kept:
        (kept / "a").write_text("a")
        kept.rename(tmp_path / "kept")
    with write_folder(tmp_path) as dropped:
        (dropped / "b").write_text("b")

    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert digest_file(tmp_path / "a") == expected
