"""Checks that a file must pass before any DICOM library sees it, and the errors that reject it."""

import errno
import os
import stat
from io import BytesIO
from types import TracebackType
from typing import BinaryIO

from lsdc.dicom.part10 import AS_IT_IS, PREAMBLE_BYTES, PREFIX, Opening, open_data_set

# An empty file corrupts dicomsdl's heap.
MIN_FILE_BYTES = 256
LARGEST_FILE_BYTES = 2**28
# Enough for nearly every image's header up to its pixels; reading more costs time.
START_BYTES = 4096

# Transient errors of network drives and busy machines.
_OF_THE_MOMENT = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "EINTR", "ENFILE", "EMFILE", "ENOLCK",
        "ECONNRESET", "ECONNABORTED", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN",
        "ENETUNREACH", "EREMOTEIO", "ENOMEM",
    )
    if hasattr(errno, name)
)  # fmt: skip


def refuse_size(size_bytes: int) -> str:
    """Return why a file of this size is not read."""
    return (
        f"{size_bytes} bytes, expected at most {LARGEST_FILE_BYTES}; split the file into one file "
        "per frame, for example with 'dcuncat' of dicom3tools"
    )


class RefusedError(Exception):
    """The file cannot be used, whichever library reads it; the text says why, without values.

    Attributes:
        status: the file's size in bytes and mtime in ns, where it could be opened at all.
        no_dicom: whether the file is not DICOM at all.
    """

    def __init__(
        self, reason: str, status: tuple[int, int] | None = None, *, no_dicom: bool = False
    ) -> None:
        super().__init__(reason)
        self.status, self.no_dicom = status, no_dicom


class DeclinedError(Exception):
    """One reader cannot read the file correctly; another one may."""


class TransientError(Exception):
    """The file could not be read at the moment; a retry may succeed."""


class OpenFile:
    """An open regular file that begins as DICOM does; a context manager that closes it.

    Attributes:
        status: its size in bytes and its mtime in ns when it was opened.
        start: its first `START_BYTES`, or all of it, after a substitute for missing preamble or
            file meta information.
        frame: the number of the requested image, from 1.
        is_whole: whether nothing is missing at its beginning. Else `content` and `stream` include
            the substitute as well.
    """

    __slots__ = ("_descriptor", "_opening", "_read_on", "frame", "is_whole", "start", "status")

    def __init__(
        self,
        descriptor: int,
        status: tuple[int, int],
        start: bytes,
        opening: Opening,
        frame: int,
    ) -> None:
        self._descriptor, self.status, self._opening = descriptor, status, opening
        self.frame = frame
        self.is_whole = opening is AS_IT_IS
        self.start = start if self.is_whole else opening.head + start[opening.begin :]
        self._read_on = False

    @property
    def descriptor(self) -> int:
        """The file descriptor, open for reading more than the start."""
        self._read_on = True
        return self._descriptor

    @property
    def path(self) -> str:
        """A path to the open file that dicomsdl accepts, whatever the file's name."""
        return f"/dev/fd/{self.descriptor}"

    @property
    def says_syntax(self) -> bool:
        """Whether it names its transfer syntax; otherwise that is inferred from its elements."""
        return not self._opening.tells_syntax

    @property
    def size_bytes(self) -> int:
        """The size in bytes when it was opened."""
        return self.status[0]

    def content(self) -> bytes:
        """Return the whole content. Raises RefusedError if it is too large for one image."""
        if self.size_bytes > LARGEST_FILE_BYTES:
            raise RefusedError(refuse_size(self.size_bytes))
        content = os.pread(self.descriptor, self.size_bytes, 0)
        return content if self.is_whole else self._opening.head + content[self._opening.begin :]

    def stream(self) -> BinaryIO:
        """Return a stream of the content; closing the stream leaves the file itself open."""
        if self.is_whole:
            return open(self.descriptor, "rb", closefd=False)
        return BytesIO(self.content())

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close it and raise an error if it changed while it was read piece by piece."""
        try:
            changed = self._read_on and _status(self._descriptor) != self.status
        except OSError:  # the drive lost it
            changed = True
        os.close(self._descriptor)
        if isinstance(error, OSError) and may_be_transient(error):
            raise TransientError(f"cannot be read: {error.strerror}") from None
        if changed:
            raise TransientError("changed while it was read") from None


def may_be_transient(error: OSError) -> bool:
    """Return whether the system's error may be transient."""
    return error.errno in _OF_THE_MOMENT


def open_dicom(path: bytes, frame: int = 1) -> OpenFile:
    """Open a file if it may be DICOM; do not wait for a FIFO, on which both libraries hang.

    Raises:
        RefusedError: the file is missing, unreadable, not a regular file or not DICOM.
        TransientError: the system could not open or read the file at the moment.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if may_be_transient(error):
            raise TransientError(f"cannot be opened: {error.strerror}") from None
        raise RefusedError(f"cannot be opened: {error.strerror}") from None
    except ValueError:
        raise RefusedError("cannot be opened: its name contains a zero byte") from None
    try:
        found = os.fstat(descriptor)
        status = found.st_size, found.st_mtime_ns
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError("not a regular file", status, no_dicom=True)
        if found.st_size < MIN_FILE_BYTES:
            raise RefusedError(
                f"{found.st_size} bytes, expected at least {MIN_FILE_BYTES} in a DICOM file", status
            )
        start = os.pread(descriptor, START_BYTES, 0)
        opening = open_data_set(start, found.st_size)
        if opening is None:
            raise RefusedError(
                f"not DICOM: no {PREFIX.decode()} at byte {PREAMBLE_BYTES}, and no data set at its "
                "start",
                status,
                no_dicom=True,
            )
    except OSError as error:
        os.close(descriptor)
        if may_be_transient(error):
            raise TransientError(f"cannot be read: {error.strerror}") from None
        raise RefusedError(f"cannot be read: {error.strerror}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, status, start, opening, frame)


def _status(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
