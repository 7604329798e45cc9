"""Strict reading of text files: errors name the actual encoding or format, and the line."""

import re
from pathlib import Path

from lsdc.errors import DataError

_WIDE = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_OTHER_FILES = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"PAR1": "a Parquet file",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF file",
}
_WEB_PAGES = (b"<!doctype html", b"<html")
_LOOKED_AT = 4096  # bytes inspected to detect a web page, or UTF-16 without a mark
_LINE_END = re.compile(rb"\r\n|\r|\n")


def read_text(path: Path) -> str:
    r"""Return the text of a UTF-8 file, without a byte order mark and with `\n` line ends.

    Raises:
        DataError: the file has another encoding, holds NUL bytes or is not text.
        OSError: the file is missing or not readable.
    """
    content = path.read_bytes()
    for magic, what in _OTHER_FILES.items():
        if content.startswith(magic):
            raise DataError(f"{path}: is {what}, expected UTF-8 text; unpack it or save it as text")
    if content[:_LOOKED_AT].lstrip().lower().startswith(_WEB_PAGES):
        raise DataError(
            f"{path}: is a web page (HTML), expected UTF-8 text; download the file itself, which "
            "may need you to sign in or accept its terms first"
        )
    if wide := _wide(content):
        raise DataError(f"{path}: is encoded in {wide}, expected UTF-8; save it as UTF-8")
    if b"\0" in content:
        raise DataError(f"{path}: {_of_nul_bytes(content)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: line {_line_of(content, error.start)} contains the byte "
            f"0x{content[error.start]:02X}, which is not valid UTF-8 (the file may be encoded in "
            "Latin-1 or Windows-1252); save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _wide(content: bytes) -> str | None:
    """Detect UTF-16 or UTF-32 by the byte order mark, or by the positions of NUL bytes."""
    for mark, name in _WIDE.items():
        if content.startswith(mark):
            return name
    start = content[:_LOOKED_AT]
    halves = [start[place::2] for place in (0, 1)]
    few, many = sorted(half.count(0) / max(len(half), 1) for half in halves)
    quarters = sorted(start[place::4].count(0) for place in range(4))
    if quarters[1] > 0.9 * len(start) / 4 and quarters[0] < 0.1 * len(start) / 4:
        return "UTF-32"
    return "UTF-16" if many > 0.5 and few < 0.1 else None


def _of_nul_bytes(content: bytes) -> str:
    whole = content.rstrip(b"\0")
    if b"\0" in whole:
        line = _line_of(content, content.index(b"\0"))
        return f"line {line} contains a NUL byte, expected text; copy the file again"
    count, line = len(content) - len(whole), _line_of(content, len(whole))
    plural = "s" if count > 1 else ""
    return (
        f"{count:,} NUL byte{plural} at the end, from line {line} on: the file was not written "
        "completely; copy it again"
    )


def _line_of(content: bytes, place: int) -> int:
    return 1 + len(_LINE_END.findall(content[:place]))
