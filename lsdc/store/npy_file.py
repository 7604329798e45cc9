"""The file of crops, slices or a volume: a `.npy` that is written part by part.

It is not memory-mapped: dirty pages of a map count as the process's memory until the system writes
them back, so memory would grow with the number of studies.

Appended samples go past the system's page cache. Such files are often larger than memory, and the
system takes longer to find a free page for the cache than to copy a part of a sample into it.
"""

import errno
import fcntl
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from lsdc.store.files import reserve, write_atomic

_CHUNK = 1 << 20
_APPENDED_AT_ONCE = 1 << 22
_REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP)  # of a direct write, by kind of file system

Crops = npt.NDArray[np.unsignedinteger[Any]]


@contextmanager
def write_crops(
    path: Path, shape: tuple[int, int, int, int], dtype: npt.DTypeLike
) -> Iterator[Callable[[int, Crops], None]]:
    """Yield a function that writes samples from a given row on; rows never written are zeros.

    Raises:
        NoSpaceError: the disk is too small; raised before anything is written.
    """
    with write_atomic(path) as temporary, temporary.open("r+b") as file:
        kind = np.dtype(dtype)
        _write_header(file, shape, kind)
        start, sample_bytes = file.tell(), int(np.prod(shape[1:])) * kind.itemsize
        file.flush()
        reserve(temporary, start + shape[0] * sample_bytes)
        file.truncate(start + shape[0] * sample_bytes)

        def write(row: int, samples: Crops) -> None:
            file.seek(start + row * sample_bytes)
            file.write(np.ascontiguousarray(samples, dtype=kind).data)

        yield write


@contextmanager
def append_samples(
    path: Path, most: int, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> Iterator[Callable[[Crops], None]]:
    """Yield a function that appends one sample of this shape; the file has as many as it was given.

    Args:
        path: the file to write.
        most: the largest number of samples, for which space is reserved.
        shape: the shape of one sample.
        dtype: its type.

    Raises:
        NoSpaceError: the disk is too small; raised before anything is written.
    """
    kind, header, count = np.dtype(dtype), BytesIO(), 0
    _write_header(header, (most, *shape), kind)
    start, sample_bytes = header.tell(), int(np.prod(shape)) * kind.itemsize
    with write_atomic(path) as temporary:
        reserve(temporary, start + most * sample_bytes)
        with temporary.open("r+b", buffering=0) as raw, DirectWriter(raw) as writer:
            writer.write(header.getbuffer())

            def append(sample: Crops) -> None:
                nonlocal count
                whole = np.ascontiguousarray(sample, dtype=kind)
                writer.write(whole.reshape(-1).view(np.uint8).data)
                count += 1

            yield append
        with temporary.open("r+b") as file:
            _write_header(file, (count, *shape), kind)
            assert file.tell() == start  # NumPy leaves room for any number of samples
            file.truncate(start + count * sample_bytes)


class DirectWriter:
    """Appends bytes to a file, past the page cache as far as the file system can (O_DIRECT).

    All is written when the context ends without an error.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        # Private memory starts at a page, as such writes need.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, _APPENDED_AT_ONCE, flags=flags)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)  # halves the time of each write
        self._filled = 0
        self._direct = False
        if hasattr(os, "O_DIRECT"):  # macOS has it not
            with suppress(OSError):  # a file system without them
                self._set_direct(True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()

    def write(self, data: memoryview) -> None:
        """Write bytes, now or with some that follow."""
        while data:
            part = data[: _APPENDED_AT_ONCE - self._filled]
            end = self._filled + len(part)
            self._memory[self._filled : end] = part
            self._filled, data = end, data[len(part) :]
            if end == _APPENDED_AT_ONCE:
                self._flush()

    def _flush(self) -> None:
        left = memoryview(self._memory)[: self._filled]
        while left:
            left = left[self._write_some(left) :]
        self._filled = 0

    def _write_some(self, data: memoryview) -> int:
        """Write some of the bytes and return their number."""
        try:
            return self._file.write(data) or 0
        except OSError as error:
            # The last part is no whole number of the disk's blocks, or these are unusually large.
            if error.errno not in _REFUSALS or not self._direct:
                raise
            self._set_direct(False)
            return 0

    def _set_direct(self, direct: bool) -> None:
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags ^ os.O_DIRECT)
        self._direct = direct


def join_files(parts: Sequence[Path], path: Path) -> None:
    """Concatenate files that differ in their number of samples only, and remove them.

    Each is removed as soon as it is in `path`, so the disk never holds all of them twice.
    """
    if len(parts) == 1:
        parts[0].replace(path)
        return
    with ExitStack() as opened:
        sources = [opened.enter_context(part.open("rb")) for part in parts]
        forms = [_read_header(source) for source in sources]
        (_, *sample), kind = forms[0]
        file = opened.enter_context(opened.enter_context(write_atomic(path)).open("wb"))
        _write_header(file, (sum(shape[0] for shape, _ in forms), *sample), kind)
        for part, source in zip(parts, sources, strict=True):
            shutil.copyfileobj(source, file, _CHUNK)
            part.unlink()


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    np.lib.format.read_magic(file)
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    return shape, kind


def _write_header(file: BinaryIO, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    header = {"descr": kind.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
