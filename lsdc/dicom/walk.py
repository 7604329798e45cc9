"""List the files of a folder tree, each once, without opening any."""

import os
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path

import dataframely as dy
import polars as pl

from lsdc.dicom.names import escape_name
from lsdc.dicom.preflight import may_be_transient
from lsdc.tables.table import Table


class Files(Table):
    """One row per file, or folder that may not be read."""

    folder = dy.String(description="The folder that holds it.")
    name = dy.String(description="Its name in the folder.")
    bytes = dy.Int64(nullable=True, description="Size, of a link's target; null if not requested.")
    mtime_ns = dy.Int64(nullable=True, description="Last change, likewise.")
    closed = dy.Bool(description="Whether it is a folder that may not be read.")


_BLOCK = 2**16


def list_tree(
    root: Path,
    *,
    with_status: bool,
    apart: Sequence[Path] = (),
    leave_out: Path | None = None,
) -> pl.DataFrame:
    """Return all entries below a folder that are not folders, sorted by folder and name.

    Links to folders are followed, but every folder is visited once, so that loops end. A link to a
    visited folder, and a folder that may not be read, are listed as if they were files.

    Args:
        root: an existing folder.
        with_status: whether to read size and mtime, which is half of the cost.
        apart: folders that come first, each as a separate tree (see `list_trees`); the walk from
            the root skips them.
        leave_out: a folder to skip with all its content, wherever it is.

    Raises:
        OSError: the system cannot read a folder at the moment.
    """
    listing = _Listing(with_status=with_status, leave_out=leave_out)
    listing.add_trees(apart)
    listing.skip_seen_folders()
    listing.add_tree(root)
    return listing.table()


def list_trees(folders: Iterable[Path], *, with_status: bool) -> pl.DataFrame:
    """List the files of several folders, each as `list_tree` does, even if they overlap."""
    listing = _Listing(with_status=with_status)
    listing.add_trees(folders)
    return listing.table()


class _Listing:
    """Collects the files of folders by column."""

    def __init__(self, *, with_status: bool, leave_out: Path | None = None) -> None:
        self._with_status = with_status
        self._seen: set[tuple[int, int]] = set()
        self._seen_before: set[tuple[int, int]] = set()
        self._passed_over = {_identity(leave_out)} if leave_out and leave_out.is_dir() else set()
        self._parts: list[pl.DataFrame] = [Files.create_empty()]
        self._folders: list[str] = []
        self._names: list[str] = []
        self._status: list[tuple[int | None, int | None]] = []
        self._closed: list[bool] = []

    def add_trees(self, folders: Iterable[Path]) -> None:
        """Add the files below each folder, as if it were the only one."""
        for folder in folders:
            self.add_tree(folder)
            self._seen_before |= self._seen
            self._seen = set()

    def skip_seen_folders(self) -> None:
        """Skip all folders visited so far from now on."""
        self._passed_over |= self._seen_before

    def add_tree(self, root: Path) -> None:
        """Add the files below a folder."""
        waiting: list[str] = [os.fspath(root)]
        # Linked folders come last, so that a folder is listed at its real path.
        links: list[str] = []
        while waiting or links:
            if not waiting:
                links.sort(reverse=True)
            folder = waiting.pop() if waiting else links.pop()
            inner = self._add(folder)
            links += [entry.path for entry in inner if entry.is_symlink()]
            waiting += sorted(
                (entry.path for entry in inner if not entry.is_symlink()), reverse=True
            )

    def _add(self, folder: str) -> "list[os.DirEntry[str]]":
        """Add the files of a folder; return its subfolders, or none if it was visited before."""
        try:
            identity = _identity(folder)
            if identity in self._passed_over:
                return []
            if identity in self._seen:
                raise FileExistsError
            self._seen.add(identity)
            with os.scandir(folder) as found:
                entries = sorted(found, key=attrgetter("name"))
        except OSError as error:
            if may_be_transient(error):  # else its content would silently be missing
                raise
            parent, name = os.path.split(folder)
            closed = not isinstance(error, FileExistsError)
            self._append(parent, [name], [status_of(folder)], closed=closed)
            return []
        inner = [entry for entry in entries if is_folder(entry)]
        if inner:
            entries = [entry for entry in entries if not is_folder(entry)]
        while entries:  # as objects, all files of a large folder would fill the memory
            some, entries[:_BLOCK] = entries[:_BLOCK], []
            names = [entry.name for entry in some]
            self._append(folder, names, map(status_of, some) if self._with_status else None)
        return inner

    def _append(
        self,
        folder: str,
        names: list[str],
        status: "Iterable[os.stat_result | None] | None",
        *,
        closed: bool = False,
    ) -> None:
        self._closed += [closed] * len(names)
        self._folders += [escape_name(folder)] * len(names)
        self._names += map(escape_name, names)
        if status is None:
            self._status += [(None, None)] * len(names)
        else:
            self._status += [
                (each.st_size, each.st_mtime_ns) if each else (None, None) for each in status
            ]
        if len(self._names) >= _BLOCK:  # as Python objects they would fill the memory
            self._close_block()

    def _close_block(self) -> None:
        sizes, mtimes = zip(*self._status, strict=True) if self._status else ((), ())
        columns = [self._folders, self._names, sizes, mtimes, self._closed]
        schema = pl.Schema(Files)
        self._parts.append(pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema))
        self._folders, self._names, self._status, self._closed = [], [], [], []

    def table(self) -> pl.DataFrame:
        """Return all files so far, with the columns of `Files`."""
        self._close_block()
        return pl.concat(self._parts)


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is not."""
    try:
        return entry.is_dir()
    except OSError as error:  # a link to itself, or no permission
        if may_be_transient(error):
            raise
        return False


def _identity(folder: str | Path) -> tuple[int, int]:
    """Return an identity that all paths to one folder share."""
    status = os.stat(folder)  # noqa: PTH116  # one of many: Path objects are slow
    return status.st_dev, status.st_ino


def status_of(entry: "os.DirEntry[str] | str | bytes") -> os.stat_result | None:
    """Return the status of a file, or of a broken link itself; None if it is gone."""
    for follow in (True, False):
        try:
            if isinstance(entry, str | bytes):
                return os.stat(entry, follow_symlinks=follow)  # noqa: PTH116 (bytes are no Path)
            return entry.stat(follow_symlinks=follow)
        except (OSError, ValueError):  # a zero byte in its name
            continue
    return None
