"""File names as text, for arbitrary bytes.

A file's name is bytes; tables and databases hold UTF-8. Bytes that are not UTF-8 are
percent-escaped, and so is the percent sign, so that names and texts map one to one.
"""

import os
import re

_ESCAPED = re.compile(r"%([0-9A-F]{2})")


def escape_name(path: str | bytes | os.PathLike[str]) -> str:
    """Return a path as text for tables: `caf%E9/50%25.dcm`.

    >>> escape_name("café/50%.dcm".encode("latin-1"))
    'caf%E9/50%25.dcm'
    """
    name = os.fsdecode(path)
    if name.isascii() and "%" not in name:
        return name
    # Undecodable bytes are lone surrogates here; other non-ASCII characters stay unchanged.
    return "".join(
        f"%{ord(letter) - 0xDC00:02X}"
        if 0xDC80 <= ord(letter) <= 0xDCFF
        else "%25"
        if letter == "%"
        else letter
        for letter in name
    )


def unescape_name(text: str) -> bytes:
    """Return the path as the system's bytes, from its text."""
    if "%" not in text:
        return os.fsencode(text)
    parts = _ESCAPED.split(text)
    return b"".join(
        bytes([int(part, 16)]) if odd else os.fsencode(part)
        for part, odd in zip(parts, [False, True] * len(parts), strict=False)
    )
