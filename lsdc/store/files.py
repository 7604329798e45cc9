"""Atomic writing of files and folders: under a temporary name, then renamed."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lsdc.errors import NO_ROOM, NoSpaceError

_CHUNK = 1 << 20


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block ends without error.

    The temporary file carries the suffix of `path`, since libraries choose formats by suffix.
    Its permissions follow the umask, unlike those of `tempfile`, whose files are private.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path.parent, path.suffix)
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole: a reader sees the old file or the new one."""
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def write_folder(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `parent`; it is deleted after the block unless moved away.

    Its permissions follow the umask, as in `write_atomic`.
    """
    parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(parent)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(folder: Path, suffix: str = "") -> Path:
    return folder / f".writing-{secrets.token_hex(8)}{suffix}"


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digest of each of a folder's files by name."""
    return {name: digest_file(folder / name) for name in names}


def are_intact(folder: Path, names: Iterable[str], digests: Mapping[str, str]) -> bool:
    """Return whether a folder has all of these files, as `digest_files` recorded them."""
    try:
        return all(digest_file(folder / name) == digests.get(name) for name in names)
    except OSError:
        return False


def reserve(path: Path, size: int) -> None:
    """Allocate a file's disk space now: a process dies if its memory map fills the disk.

    Raises:
        NoSpaceError: the disk is too full, or the size exceeds the process's file size limit.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        free = free_bytes(path.parent)
        raise NoSpaceError(
            f"{path.parent}: {size / 1e6:.1f} MB needed, {free / 1e6:.1f} MB are free; free disk "
            "space (see 'lsdc clean'), or choose another --home"
        ) from error


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of `folder`, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
