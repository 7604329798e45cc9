"""Make standard output and error robust: any encoding, a closed pipe, closed descriptors."""

import codecs
import errno
import io
import json
import os
import sys
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Literal, TextIO

import typer
from rich.console import Console

from lsdc.errors import NO_ROOM

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from lsdc.challenges.challenge import Printed

PLAIN = "lsdc-plain"
# Replacements for encodings without these characters; letters lose their accents.
_SIGNS = {"✓": "+", "✗": "x", "×": "x", "±": "+/-", "·": "-", "–": "-", "−": "-", "→": "->"}
_SIGNS |= {"…": "...", "µ": "u"}
_NO_LIMIT = 10_000  # columns
_STANDARD = (0, 1, 2)
# The reader has exited, the terminal is closed, or the disk of a log is full.
_GONE = (errno.EPIPE, errno.EIO, *NO_ROOM)


def prepare_streams() -> None:
    """Keep printing from failing, whatever the characters and whoever stopped reading.

    Characters that the encoding cannot represent become plain ones. Once a reader has exited, such
    as `head`, or a log's disk is full, further output is discarded. Closed descriptors are opened
    on the null device, so that no file or socket of ours gets their number and receives output.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    codecs.register_error(PLAIN, _plain)
    sys.stdout = _patient(sys.stdout, 1)
    sys.stderr = _patient(sys.stderr, 2)


def open_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return the console to print on: as wide as the terminal, unlimited in a pipe.

    COLUMNS overrides the width, NO_COLOR switches colours off, and FORCE_COLOR keeps them in a
    pipe. Output is literal text: `[v2]` in a path is no markup, `:x:` no emoji.

    Args:
        stderr: whether to print on standard error.
        quiet: whether to print nothing, for the progress of a command with --quiet.
    """
    console = partial(
        Console, stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False
    )
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return console()
    if "COLUMNS" not in os.environ:
        console = partial(console, width=_NO_LIMIT)
    # Rich would take a pipe for a terminal, and write its live displays into it.
    colors: Literal["standard"] | None = "standard" if os.environ.get("FORCE_COLOR") else None
    return console(force_terminal=False, color_system=colors)


def print_result(result: "Printed", *, as_json: bool) -> None:
    """Print the result of a command: as JSON, or for people."""
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        result.show(open_console())


class _PatientFile(io.FileIO):
    """A file that discards what is written once its reader or disk space is gone."""

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
    if 0xDC80 <= ord(sign) <= 0xDCFF:  # an undecodable byte of a file name
        return f"\\x{ord(sign) - 0xDC00:02x}"
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _SIGNS.get(sign) or letters or "?"
