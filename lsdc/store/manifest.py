"""Manifests: descriptions of stage results, small enough to pass between tasks as JSON."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lsdc.store.files import digest_file
from lsdc.store.result_index import Result


class FileRecord(BaseModel):
    """One file of a stage's result: its name in the folder, digest, size and mtime."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str
    bytes: int
    mtime_ns: int


class Manifest(Result):
    """A stage's result: a folder in the home and the digests of the files in it.

    `digest` depends on names and contents only, so the same result always has the same digest.

    Attributes:
        key: key of the training that claimed a fold's folder; None for other folders.
        notes: files that accompany the result and say how it was made, but are not part of it.
    """

    stage: str
    path: str
    digest: str
    rows: int
    files: tuple[FileRecord, ...]
    key: str | None = None
    notes: tuple[FileRecord, ...] = ()

    def folder(self, home: Path) -> Path:
        """Return the folder of the files."""
        return home / self.path

    def file(self, home: Path, name: str) -> Path:
        """Return the path of one of the files."""
        return self.folder(home) / name

    def is_intact(self, home: Path) -> bool:
        """Return whether every file is unchanged; bytes are read only if the mtime differs.

        Notes only have to exist: they are written last. Without them, the files may be from a
        repeat of the work, with identical output, that was killed at its very end.
        """
        folder = self.folder(home)
        if not all((folder / note.name).is_file() for note in self.notes):
            return False
        return all(_is_unchanged(folder / record.name, record) for record in self.files)


def make_manifest(
    home: Path,
    stage: str,
    folder: Path,
    *,
    rows: int,
    names: Iterable[str],
    key: str | None = None,
    notes: Iterable[str] = (),
) -> Manifest:
    """Describe the named files of a folder inside the home.

    Args:
        home: root of the home.
        stage: name of the stage.
        folder: folder inside the home.
        rows: number of rows, samples or files of the result; for display.
        names: files that make up the result; others in the folder are ignored.
        key: key of the training that claimed the folder, if it is a fold's.
        notes: further files that accompany the result.
    """
    records = tuple(_record(folder / name, name) for name in sorted(names))
    return Manifest(
        stage=stage,
        path=folder.relative_to(home).as_posix(),
        digest=_digest(records),
        rows=rows,
        files=records,
        key=key,
        notes=tuple(_record(folder / name, name) for name in sorted(notes)),
    )


def store_folder(home: Path, stage: str, temporary: Path, *, rows: int) -> Manifest:
    """Move a finished temporary folder to `home/STAGE/DIGEST` and describe it.

    Results are addressed by content: the same result lands in the same place, and a damaged
    earlier copy of it is replaced.
    """
    files = (path for path in temporary.rglob("*") if path.is_file())
    names = [path.relative_to(temporary).as_posix() for path in files]
    manifest = make_manifest(home, stage, temporary, rows=rows, names=names)
    target = home / stage / manifest.digest[:16]
    if target.exists():
        replaced = target.with_name(f".replaced-{target.name}-{os.getpid()}")
        target.rename(replaced)
        temporary.rename(target)
        shutil.rmtree(replaced)
    else:
        temporary.rename(target)
    return manifest.model_copy(update={"path": target.relative_to(home).as_posix()})


def _record(path: Path, name: str) -> FileRecord:
    stat = path.stat()
    return FileRecord(
        name=name, digest=digest_file(path), bytes=stat.st_size, mtime_ns=stat.st_mtime_ns
    )


def _digest(records: Iterable[FileRecord]) -> str:
    lines = [f"{record.name}\0{record.digest}" for record in records]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_unchanged(path: Path, record: FileRecord) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != record.bytes:
        return False
    return stat.st_mtime_ns == record.mtime_ns or digest_file(path) == record.digest
