"""The file of crops: a `.npy` that grows study by study.

It is written and not mapped: the pages of a map count as the process's own until the system
writes them back, and its memory would grow with the number of studies.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lsdc.store.files import reserve, write_atomic

Crops = npt.NDArray[np.unsignedinteger[Any]]


@contextmanager
def write_crops(
    path: Path, shape: tuple[int, int, int, int], dtype: npt.DTypeLike
) -> Iterator[Callable[[int, Crops], None]]:
    """Yield what writes samples, given the first one's row; rows never written are zeros.

    Raises:
        OSError: the disk is too small; said before anything is written.
    """
    with write_atomic(path) as temporary, temporary.open("r+b") as file:
        kind = np.dtype(dtype)
        header = {"descr": kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start, sample_bytes = file.tell(), int(np.prod(shape[1:])) * kind.itemsize
        file.truncate(start + shape[0] * sample_bytes)
        reserve(temporary, start + shape[0] * sample_bytes)

        def write(row: int, samples: Crops) -> None:
            file.seek(start + row * sample_bytes)
            file.write(np.ascontiguousarray(samples, dtype=kind).data)

        yield write
