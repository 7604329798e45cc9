"""Read plain CSV files quickly: ASCII text in lines of equal length, without quotes.

Tables of millions of rows are such files. Anything else is left to `checked_csv`, which reads line
by line and names what is wrong.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

_MARK = b"\xef\xbb\xbf"  # of UTF-8, which spreadsheet programs write first
_COMMA, _LINE_END = b",\n"
_BLANKS = (b" ", b"\t")


def read_plain(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> pl.DataFrame | None:
    """Read the named columns of a plain CSV file, in that order, as strings.

    Optional columns follow, those that the file has. Row n, from 0, is line n + 2 of the file.

    Returns:
        The columns, with null for an empty cell; None if the file is not plain, cannot be read, has
        no row, or names a column never or more than once.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    content = content.removeprefix(_MARK).replace(b"\r\n", b"\n").rstrip(b"\n")
    head, _, rows = content.partition(b"\n")
    header = head.split(b",")
    names = [*columns, *(name for name in optional if name.encode() in header)]
    places = [header.index(name) for name in map(str.encode, names) if header.count(name) == 1]
    del content
    if len(places) < len(names) or not _is_plain(head) or not _is_even(rows, len(header)):
        return None
    # polars returns columns in the order of the file.
    found = pl.read_csv(
        rows,
        has_header=False,
        columns=sorted(places),
        schema={str(place): pl.String for place in range(len(header))},
        quote_char=None,
    )
    table = found.select(
        pl.col(str(place)).alias(name) for place, name in zip(places, names, strict=True)
    )
    if any(blank in rows for blank in _BLANKS):
        stripped = table.select(pl.all().str.strip_chars())
        return stripped.select(pl.when(pl.all() != "").then(pl.all()))
    return table


def _is_plain(text: bytes) -> bool:
    """Return whether a text is printable ASCII, tabs and line ends, without quotes."""
    codes = np.frombuffer(text, np.uint8)
    signs = np.count_nonzero(codes < ord(" "))
    return (
        text.isascii()
        and b'"' not in text
        and b"\x7f" not in text
        and signs == text.count(b"\n") + text.count(b"\t")
    )


def _is_even(rows: bytes, width: int) -> bool:
    """Return whether rows are plain, and each of this many cells, two or more."""
    if width < 2 or not rows or not _is_plain(rows):
        return False
    codes = np.frombuffer(rows, np.uint8)
    commas = np.flatnonzero(codes == _COMMA)
    ends = np.append(np.flatnonzero(codes == _LINE_END), len(codes))
    if len(commas) != (width - 1) * len(ends):
        return False
    of_line = commas.reshape(len(ends), width - 1)
    # The commas of a line are behind the end of the line before and before its own.
    return bool(np.all(of_line[:, -1] < ends) and np.all(of_line[1:, 0] > ends[:-1]))
