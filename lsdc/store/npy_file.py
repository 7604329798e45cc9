"""The file of crops or slices: a `.npy` that is written study by study.

It is not memory-mapped: dirty pages of a map count as the process's memory until the system writes
them back, so memory would grow with the number of studies.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lsdc.store.files import reserve, write_atomic

_CHUNK = 1 << 20

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
    with write_atomic(path) as temporary, temporary.open("r+b") as file:
        kind = np.dtype(dtype)
        _write_header(file, (most, *shape), kind)
        start, sample_bytes = file.tell(), int(np.prod(shape)) * kind.itemsize
        file.flush()
        reserve(temporary, start + most * sample_bytes)

        def append(sample: Crops) -> None:
            file.write(np.ascontiguousarray(sample, dtype=kind).data)

        yield append
        end = file.tell()
        file.seek(0)
        _write_header(file, ((end - start) // sample_bytes, *shape), kind)
        assert file.tell() == start  # NumPy leaves room for any number of samples
        file.truncate(end)


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
