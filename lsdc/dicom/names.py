"""Names of files as text, whatever bytes they are made of.

A file's name is bytes; tables and databases hold UTF-8. What is no UTF-8 is percent-escaped, and
so is the percent sign, so that every text has one name and every name one text.
"""

import os
import re

_ESCAPED = re.compile(r"%([0-9A-F]{2})")


def escape_name(path: str | bytes | os.PathLike[str]) -> str:
    """The text of a path as tables hold it: `caf%E9/50%25.dcm`."""
    name = os.fsdecode(path)
    if name.isascii() and "%" not in name:
        return name
    # Undecodable bytes are lone surrogates here; all else that is not ASCII stays as it is.
    return "".join(
        f"%{ord(letter) - 0xDC00:02X}"
        if 0xDC80 <= ord(letter) <= 0xDCFF
        else "%25"
        if letter == "%"
        else letter
        for letter in name
    )


def unescape_name(text: str) -> bytes:
    """The path as the system knows it, from its text."""
    if "%" not in text:
        return os.fsencode(text)
    parts = _ESCAPED.split(text)
    return b"".join(
        bytes([int(part, 16)]) if odd else os.fsencode(part)
        for part, odd in zip(parts, [False, True] * len(parts), strict=False)
    )
