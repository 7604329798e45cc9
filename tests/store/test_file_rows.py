"""Cached rows of files: only new and changed files are read, and invalid rows are not used."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.store.file_rows import FileRows, Take

SCHEMA: dict[str, pl.DataType] = {
    "path": pl.String(),
    "bytes": pl.Int64(),
    "mtime_ns": pl.Int64(),
    "lasting": pl.Boolean(),
    "said": pl.String(),
}
KEY = {name: SCHEMA[name] for name in ("path", "bytes", "mtime_ns")}


class Folder:
    """Files as a dictionary of names to (bytes, mtime), with a record of the files read."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self.files: dict[str, tuple[int, int]] = {}
        self.passing: set[str] = set()
        self.asked: list[str] = []

    def read(self, names: list[str], take: Take) -> None:
        """Pass on tables of at most three rows."""
        self.asked += names
        rows = [
            (name, *self.files[name], name not in self.passing, f"{name} of {self.files[name]}")
            for name in names
        ]
        for at in range(0, len(rows), 3):
            take(pl.DataFrame(rows[at : at + 3], schema=SCHEMA, orient="row"))

    def table(self) -> pl.DataFrame:
        """Return the table of the listed files."""
        rows = [(name, *status) for name, status in self.files.items()]
        return pl.DataFrame(rows, schema=KEY, orient="row")

    def open(self, root: str = "/images", version: str = "1") -> FileRows:
        return FileRows(self.parent, root, schema=SCHEMA, version=version)

    def go(self, root: str = "/images", version: str = "1") -> list[str]:
        """Read the rows of all files, check them, and return the files that were read."""
        self.asked = []
        lazy, count = self.open(root, version).read(self.table(), self.read)
        rows = lazy.collect()
        assert dict(rows.schema) == SCHEMA
        said = {name: f"{name} of {status}" for name, status in self.files.items()}
        assert dict(rows.select("path", "said").iter_rows()) == said
        assert len(rows) == len(self.files)
        assert count == len(self.asked)
        return self.asked


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "rows")
    folder.files = {f"/images/{n}.dcm": (100 + n, 10**18 + n) for n in range(10)}
    return folder


def test_all_files_are_read_only_once(folder: Folder) -> None:
    assert folder.open().is_empty
    assert folder.go() == list(folder.files)
    assert not folder.open().is_empty
    assert folder.go() == []


def test_only_new_and_changed_files_are_read(folder: Folder) -> None:
    folder.go()
    names = list(folder.files)
    folder.files[names[0]] = (999, folder.files[names[0]][1])
    folder.files[names[1]] = (folder.files[names[1]][0], 1)
    folder.files["/images/renamed.dcm"] = folder.files.pop(names[2])
    del folder.files[names[3]]
    folder.files["/images/new.dcm"] = (5, 5)
    assert set(folder.go()) == {names[0], names[1], "/images/renamed.dcm", "/images/new.dcm"}
    assert folder.go() == []


def test_restored_file_is_not_read_again(folder: Folder) -> None:
    folder.go()
    name, status = next(iter(folder.files.items()))
    del folder.files[name]
    assert folder.go() == []
    folder.files[name] = (1, 1)
    assert folder.go() == [name]
    folder.files[name] = status
    assert folder.go() == []


def test_first_read_needs_no_size_and_no_mtime(folder: Folder) -> None:
    unknown = folder.table().with_columns(bytes=None, mtime_ns=None).cast(KEY)
    rows, count = folder.open().read(unknown, folder.read)
    assert count == 10
    assert rows.collect().sort("path").select(list(KEY)).equals(folder.table().sort("path"))
    assert folder.go() == []


def test_transient_rows_are_returned_but_not_cached(folder: Folder) -> None:
    first, second, *_ = folder.files
    folder.passing = {first, second}
    folder.go()
    assert folder.go() == [first, second]
    folder.passing = set()
    assert folder.go() == [first, second]
    assert folder.go() == []


def test_no_files_have_no_rows(folder: Folder) -> None:
    folder.files = {}
    assert folder.go() == []
    assert folder.open().is_empty


def test_roots_have_separate_caches(folder: Folder) -> None:
    folder.go("/images")
    assert len(folder.go("/other")) == 10
    assert folder.go("/images") == []


def test_another_version_reads_all_files_and_deletes_the_old_rows(folder: Folder) -> None:
    folder.go(version="1")
    folder.go("/other", version="1")
    assert len(folder.go(version="2")) == 10
    assert len(list(folder.parent.iterdir())) == 2
    assert folder.go(version="2") == []
    assert len(folder.go(version="1")) == 10
    assert folder.go("/other", version="1") == []


def shards(folder: Folder) -> list[Path]:
    return sorted(folder.parent.glob("*/[0-9]*.parquet"))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def other_columns(path: Path) -> None:
    pl.DataFrame({"path": ["/images/0.dcm"]}).write_parquet(path)


@pytest.mark.parametrize("harm", [cut_off, empty, flip_in_the_middle, other_columns])
def test_files_of_a_damaged_shard_are_read_again(
    folder: Folder, harm: object, caplog: pytest.LogCaptureFixture
) -> None:
    folder.go()
    first, second, *_ = shards(folder)
    lost = set(pl.read_parquet(second)["path"])
    assert callable(harm)
    harm(second)
    assert set(folder.go()) == lost
    assert f"{second} is damaged" in caplog.text
    assert folder.go() == []
    assert first.exists()


def test_leftover_of_a_killed_writer_is_ignored(folder: Folder) -> None:
    folder.go()
    (shards(folder)[0].parent / ".writing-abc.parquet").write_bytes(b"PAR1 truncated")
    assert folder.go() == []
    rows, _ = folder.open().read(folder.table(), folder.read)
    folder.open().keep_only(rows, 1)
    assert folder.go() == []


def test_rows_of_many_deleted_files_are_removed(folder: Folder) -> None:
    def kept() -> int:
        return sum(len(pl.read_parquet(shard)) for shard in shards(folder))

    def tidy() -> None:
        rows = folder.open()
        lazy, _ = rows.read(folder.table(), folder.read)
        rows.keep_only(lazy, len(folder.files))

    folder.go()
    for name in list(folder.files)[:3]:
        del folder.files[name]
    tidy()
    assert kept() == 10  # three of ten rows are too few to rewrite the shards
    for name in list(folder.files)[:3]:
        del folder.files[name]
    tidy()
    assert kept() == 4
    assert folder.go() == []


def test_transient_rows_are_not_kept_after_cleaning(folder: Folder) -> None:
    folder.go()
    folder.files = dict(list(folder.files.items())[:2])
    name = next(iter(folder.files))
    folder.files[name] = (1, 1)
    folder.passing = {name}
    rows = folder.open()
    lazy, _ = rows.read(folder.table(), folder.read)
    rows.keep_only(lazy, 2)
    assert folder.go() == [name]


def test_many_small_shards_are_merged(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsdc.store.file_rows._MOST_SHARDS", 3)
    folder.go()
    assert len(shards(folder)) == 4
    rows = folder.open()
    lazy, _ = rows.read(folder.table(), folder.read)
    rows.keep_only(lazy, 10)
    assert len(shards(folder)) == 1
    assert folder.go() == []


def test_interrupted_reader_keeps_the_rows_it_has_passed_on(folder: Folder) -> None:
    def read_some(names: list[str], take: Take) -> None:
        folder.read(names[:5], take)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.open().read(folder.table(), read_some)
    assert len(folder.go()) == 5
