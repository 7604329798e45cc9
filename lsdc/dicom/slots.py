"""Slots: shared memory into which children write images, so that none is sent through a pipe.

A slot is taken when an image is asked for, and free again when the last array that shows it is
gone.
"""

import mmap
import os
import tempfile
import weakref
from typing import IO, Any

import numpy as np

from lsdc.dicom.image import Stored

# 1,024 x 1,024 pixels of 16 bits; what is larger goes through the pipe.
SLOT_BYTES = 2 * 2**20
_SLOTS = 160
NO_SLOT = -1


class Slots:
    """The slots, as the process sees it that asks for images.

    Attributes:
        file: the memory as a file, for children to inherit.
    """

    def __init__(self) -> None:
        self.file = memory_file(_SLOTS * SLOT_BYTES)  # pages come when they are written
        self._memory = mmap.mmap(self.file.fileno(), _SLOTS * SLOT_BYTES)
        self._free = list(range(_SLOTS))

    def take(self) -> int:
        """A free slot, or `NO_SLOT` where arrays hold all of them."""
        return self._free.pop() if self._free else NO_SLOT

    def release(self, slot: int) -> None:
        """Give a slot back that shows nothing."""
        if slot != NO_SLOT:
            self._free.append(slot)

    @staticmethod
    def fits(slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> bool:
        """Whether an image (rows, columns) can be in the slot."""
        bytes_ = dtype.itemsize * shape[0] * shape[1]
        return 0 <= slot < _SLOTS and min(shape) > 0 and bytes_ <= SLOT_BYTES

    def show(self, slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stored:
        """The image (rows, columns) that was written into a slot that it fits."""
        flat = _flat(self._memory, slot, shape, dtype)
        # Every view of it refers to this array, which outlives them.
        weakref.finalize(flat, self._free.append, slot).atexit = False
        return flat.reshape(shape)


def image_in(memory: mmap.mmap, slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stored:
    """Where in the shared memory a child writes an image (rows, columns) that fits a slot."""
    return _flat(memory, slot, shape, dtype).reshape(shape)


def _flat(memory: mmap.mmap, slot: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Stored:
    return np.frombuffer(memory, dtype, shape[0] * shape[1], slot * SLOT_BYTES)


def memory_file(size: int = 0) -> IO[bytes]:
    """A file in memory of so many bytes, for children to inherit and to map.

    Not in TMPDIR: who writes into a map of a file that a full disk has no room for is ended by
    SIGBUS.
    """
    if hasattr(os, "memfd_create"):  # Linux
        file = os.fdopen(os.memfd_create("lsdc"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # its owner closes it
    file.truncate(size)
    return file
