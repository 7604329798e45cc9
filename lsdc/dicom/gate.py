"""The gate that a file passes before any DICOM library sees it, and how a file is turned down."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# PS3.10 7.1: a preamble of 128 bytes, then the prefix. An empty file damages dicomsdl's heap.
PREAMBLE_BYTES = 128
PREFIX = b"DICM"
MIN_FILE_BYTES = 256


class RefusedError(Exception):
    """The file cannot be used, whichever library reads it; the text says why, without values."""


class DeclinedError(Exception):
    """One reader should not read the file, or not be believed; another one may."""


@dataclass(frozen=True)
class OpenFile:
    """A regular file that begins as DICOM does.

    Attributes:
        descriptor: open for reading.
        path: names the open file, in characters that dicomsdl takes whatever the file's name is.
        size_bytes: when it was opened.
    """

    descriptor: int
    path: str
    size_bytes: int


@contextmanager
def open_dicom(path: bytes) -> Iterator[OpenFile]:
    """Open a file if it can be DICOM; a FIFO, on which both libraries hang, is not waited for.

    Raises:
        RefusedError: it is missing, may not be read, is no regular file or does not begin so.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(f"cannot be opened: {error.strerror}") from None
    except ValueError:
        raise RefusedError("cannot be opened: a zero byte in its name") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("not a regular file")
        if status.st_size < MIN_FILE_BYTES:
            raise RefusedError(
                f"{status.st_size} bytes, expected at least {MIN_FILE_BYTES} of a DICOM file"
            )
        if os.pread(descriptor, len(PREFIX), PREAMBLE_BYTES) != PREFIX:
            raise RefusedError(f"not DICOM: no {PREFIX.decode()} at byte {PREAMBLE_BYTES}")
        yield OpenFile(descriptor, f"/dev/fd/{descriptor}", status.st_size)
    finally:
        os.close(descriptor)
