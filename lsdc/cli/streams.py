"""Standard output and error as they are found: any encoding, a pipe that ends, none at all."""

import codecs
import errno
import io
import os
import sys
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from lsdc.errors import NO_ROOM

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PLAIN = "lsdc-plain"
# What we print beyond ASCII, for those whose encoding has no such sign; letters lose their accents.
_SIGNS = {"✓": "+", "✗": "x", "·": "-", "×": "x", "…": "...", "µ": "u", "–": "-", "→": "->"}
_NO_LIMIT = 10_000  # columns
_STANDARD = (0, 1, 2)
# A reader that is gone, a terminal that is closed, a log whose disk is full.
_GONE = (errno.EPIPE, errno.EIO, *NO_ROOM)


def prepare_streams() -> None:
    """Have nothing fail for what it prints, or for who has stopped reading it.

    Signs that the encoding lacks become plain ones. Once a reader is gone, as `head` is after its
    lines, or the disk of a log is full, the rest is said to nobody. Closed descriptors are opened
    on nothing, before a file or socket of ours gets their number and is written to by what prints.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    codecs.register_error(PLAIN, _plain)
    sys.stdout = _patient(sys.stdout, 1)
    sys.stderr = _patient(sys.stderr, 2)


def open_console(*, stderr: bool = False) -> Console:
    """The console to print on: as wide as the terminal, in a pipe as wide as what is printed.

    COLUMNS says otherwise, where it is set. What is printed is text, whatever signs it has: `[v2]`
    in a path is no markup, `:x:` no picture.
    """
    console = partial(Console, stderr=stderr, markup=False, emoji=False, highlight=False)
    if console().is_terminal or "COLUMNS" in os.environ:
        return console()
    return console(width=_NO_LIMIT)


class _PatientFile(io.FileIO):
    """A file whose reader or room may go: what is written from then on goes nowhere."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in _GONE:
                raise
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
            return memoryview(data).nbytes


def _patient(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_PatientFile(number, "w", closefd=False)),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors=PLAIN,
        line_buffering=True,
    )


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_as_ascii, lacking)), error.end


def _as_ascii(sign: str) -> str:
    if 0xDC80 <= ord(sign) <= 0xDCFF:  # a byte of a file's name that is no text
        return f"\\x{ord(sign) - 0xDC00:02x}"
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _SIGNS.get(sign) or letters or "?"
