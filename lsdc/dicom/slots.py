"""Slots: shared memory into which children write images, instead of sending them through a pipe.

A slot is taken when an image is requested, and free again when the last array that uses it is
deleted.
"""

import mmap
import os
import tempfile
import weakref
from typing import IO, Any

import numpy as np

from lsdc.dicom.image import Stored

# 1,024 x 1,024 pixels of 16 bits; larger images go through the pipe.
SLOT_BYTES = 2 * 2**20
_SLOTS = 160
NO_SLOT = -1


class Slots:
    """The slots, as seen by the process that requests images.

    Attributes:
        file: the memory as a file, for children to inherit.
    """

    def __init__(self) -> None:
        self.file = memory_file(_SLOTS * SLOT_BYTES)  # pages are allocated when written
        self._memory = mmap.mmap(self.file.fileno(), _SLOTS * SLOT_BYTES)
        self._free = list(range(_SLOTS))

    def take(self) -> int:
        """Take a free slot; return `NO_SLOT` if all are in use."""
        return self._free.pop() if self._free else NO_SLOT

    def release(self, slot: int) -> None:
        """Give back a slot that no array uses."""
        if slot != NO_SLOT:
            self._free.append(slot)

    @staticmethod
    def fits(slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> bool:
        """Return whether an image (rows, columns) fits the slot."""
        bytes_ = dtype.itemsize * shape[0] * shape[1]
        return 0 <= slot < _SLOTS and min(shape) > 0 and bytes_ <= SLOT_BYTES

    def show(self, slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stored:
        """Return the image (rows, columns) that was written into a slot that it fits."""
        flat = _flat(self._memory, slot, shape, dtype)
        # Every view refers to this array, which outlives them.
        weakref.finalize(flat, self._free.append, slot).atexit = False
        return flat.reshape(shape)


def image_in(memory: mmap.mmap, slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stored:
    """Return the array (rows, columns) in shared memory for an image that fits a slot."""
    return _flat(memory, slot, shape, dtype).reshape(shape)


def _flat(memory: mmap.mmap, slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stored:
    return np.frombuffer(memory, dtype, shape[0] * shape[1], slot * SLOT_BYTES)


def memory_file(size: int = 0) -> IO[bytes]:
    """Create a file in memory of so many bytes, for children to inherit and map.

    Not in TMPDIR: on a full disk, writing into a mapped file ends the process by SIGBUS.
    """
    if hasattr(os, "memfd_create"):  # Linux
        file = os.fdopen(os.memfd_create("lsdc"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # its owner closes it
    file.truncate(size)
    return file
