"""The gate that a file passes before any DICOM library sees it, and how a file is turned down."""

import errno
import os
import stat
from io import BytesIO
from types import TracebackType
from typing import BinaryIO

from lsdc.dicom.part10 import AS_IT_IS, PREAMBLE_BYTES, PREFIX, Opening, open_data_set

# An empty file damages dicomsdl's heap.
MIN_FILE_BYTES = 256
LARGEST_FILE_BYTES = 2**28
# Holds the header of nearly every image up to its pixels; reading more costs time.
START_BYTES = 4096

# What a network drive or a busy machine says, and may not say again.
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
    """Why so large a file is not read."""
    return (
        f"{size_bytes} bytes, expected at most {LARGEST_FILE_BYTES} of a file; 'dcuncat' of "
        "dicom3tools makes a file of each frame"
    )


class RefusedError(Exception):
    """The file cannot be used, whichever library reads it; the text says why, without values.

    Attributes:
        status: the file's size in bytes and mtime in ns, where it could be opened at all.
        no_dicom: whether it never was a file of DICOM.
    """

    def __init__(
        self, reason: str, status: tuple[int, int] | None = None, *, no_dicom: bool = False
    ) -> None:
        super().__init__(reason)
        self.status, self.no_dicom = status, no_dicom


class DeclinedError(Exception):
    """One reader should not read the file, or not be believed; another one may."""


class TransientError(Exception):
    """The file could not be read just now; it may be tried again."""


class OpenFile:
    """A regular file that begins as DICOM does; a context that closes it.

    Attributes:
        status: its size in bytes and its mtime in ns when it was opened.
        start: its first `START_BYTES`, or all of it. Where preamble or file meta information is
            missing, the ones that are put before it come first.
        frame: which of its images is asked for, from 1.
        is_whole: whether nothing is missing at its beginning. Else `content` and `stream` too
            give it with what was put before it.
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
        """Open for reading, for who needs more than the start."""
        self._read_on = True
        return self._descriptor

    @property
    def path(self) -> str:
        """Names the open file, in characters that dicomsdl takes whatever the file's name is."""
        return f"/dev/fd/{self.descriptor}"

    @property
    def says_syntax(self) -> bool:
        """Whether it names its transfer syntax, which else is told by how its elements look."""
        return not self._opening.tells_syntax

    @property
    def size_bytes(self) -> int:
        """When it was opened."""
        return self.status[0]

    def content(self) -> bytes:
        """All of it. Raises RefusedError where that is too much for one image."""
        if self.size_bytes > LARGEST_FILE_BYTES:
            raise RefusedError(refuse_size(self.size_bytes))
        content = os.pread(self.descriptor, self.size_bytes, 0)
        return content if self.is_whole else self._opening.head + content[self._opening.begin :]

    def stream(self) -> BinaryIO:
        """Reads it; to be closed, which leaves the file itself open."""
        if self.is_whole:
            return open(self.descriptor, "rb", closefd=False)
        return BytesIO(self.content())

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close it. What was read bit by bit of a file that changed is not to be believed."""
        try:
            changed = self._read_on and _status(self._descriptor) != self.status
        except OSError:  # the drive has lost it
            changed = True
        os.close(self._descriptor)
        if isinstance(error, OSError) and may_pass(error):
            raise TransientError(f"cannot be read: {error.strerror}") from None
        if changed:
            raise TransientError("changed while it was read") from None


def may_pass(error: OSError) -> bool:
    """Whether the system may answer otherwise at another time."""
    return error.errno in _OF_THE_MOMENT


def open_dicom(path: bytes, frame: int = 1) -> OpenFile:
    """Open a file if it can be DICOM; a FIFO, on which both libraries hang, is not waited for.

    Raises:
        RefusedError: it is missing, may not be read, is no regular file or does not begin so.
        TransientError: the system could not open or read it just now.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if may_pass(error):
            raise TransientError(f"cannot be opened: {error.strerror}") from None
        raise RefusedError(f"cannot be opened: {error.strerror}") from None
    except ValueError:
        raise RefusedError("cannot be opened: a zero byte in its name") from None
    try:
        found = os.fstat(descriptor)
        status = found.st_size, found.st_mtime_ns
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError("not a regular file", status, no_dicom=True)
        if found.st_size < MIN_FILE_BYTES:
            raise RefusedError(
                f"{found.st_size} bytes, expected at least {MIN_FILE_BYTES} of a DICOM file", status
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
        if may_pass(error):
            raise TransientError(f"cannot be read: {error.strerror}") from None
        raise RefusedError(f"cannot be read: {error.strerror}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, status, start, opening, frame)


def _status(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
