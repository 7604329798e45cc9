"""Part 10: the header before a data set (PS3.10 7.1), and a substitute where it is missing.

Old archives hold bare data sets, without preamble and prefix, without file meta information or
without a transfer syntax in it. The readers see such a file with the missing parts added.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

PREAMBLE_BYTES = 128
PREFIX = b"DICM"
_SYNTAX_TAG = b"\x02\x00\x10\x00UI"
# (0002,0010) follows three short elements.
_SYNTAX_BY = PREAMBLE_BYTES + 512
_SYNTAX = re.compile(rb"1\.2\.840\.1[0-9.]{4,50}\0?")
_META_GROUP, _FIRST_GROUP = 0x0002, 0x0008
# This many consecutive elements in ascending order are taken for a data set; text and other formats
# do not contain even one.
_ENOUGH = 3
_LONG = frozenset([b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"])  # fmt: skip
_VRS = _LONG | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_UNDEFINED = 0xFFFFFFFF


class _Coding(NamedTuple):
    """The encoding of a data set, with its transfer syntax."""

    syntax: bytes
    order: str
    explicit: bool


_CODINGS = (
    _Coding(b"1.2.840.10008.1.2.1", "<", explicit=True),
    _Coding(b"1.2.840.10008.1.2", "<", explicit=False),
    _Coding(b"1.2.840.10008.1.2.2", ">", explicit=True),
)
_IN_META = _CODINGS[0]


class Opening(NamedTuple):
    """How to read a file: `head` first, then the file from an offset on.

    Attributes:
        head: the bytes to put first.
        begin: the offset in the file.
        tells_syntax: whether the transfer syntax is in `head` and not in the file.
    """

    head: bytes
    begin: int
    tells_syntax: bool = False


AS_IT_IS = Opening(b"", 0)


def open_data_set(start: bytes, size_bytes: int) -> Opening | None:
    """Return what to put before a file's data set; None if there is no data set.

    Args:
        start: the file's first bytes.
        size_bytes: the size of the whole file.
    """
    has_prefix = start.startswith(PREFIX, PREAMBLE_BYTES)
    if has_prefix:
        at = start.find(_SYNTAX_TAG, PREAMBLE_BYTES, _SYNTAX_BY)
        if at >= 0 and start[at + 6 : at + 8] != b"\0\0":
            return AS_IT_IS  # as nearly all are
        return _open_at(start, PREAMBLE_BYTES + len(PREFIX), size_bytes) or AS_IT_IS
    begins = [0, PREAMBLE_BYTES, PREAMBLE_BYTES + len(PREFIX)]
    if start.startswith(PREFIX):
        begins.insert(0, len(PREFIX))
    openings = (_open_at(start, begin, size_bytes) for begin in begins)
    return next(filter(None, openings), None)


def _open_at(start: bytes, begin: int, size_bytes: int) -> Opening | None:
    preamble = bytes(PREAMBLE_BYTES) + PREFIX
    data_begin = begin
    for tag, value, end in _walk(start, begin, size_bytes, _IN_META):
        if tag >> 16 != _META_GROUP:
            break
        if tag == 0x00020010 and _SYNTAX.fullmatch(value):
            return Opening(preamble, begin)
        data_begin = end
    for coding in _CODINGS:
        if _is_data_set(start, data_begin, size_bytes, coding):
            return Opening(preamble + _file_meta(coding.syntax), data_begin, tells_syntax=True)
    return None


def _is_data_set(start: bytes, begin: int, size_bytes: int, coding: _Coding) -> bool:
    """Return whether elements in ascending order follow, beginning with the first group."""
    last = count = 0
    for tag, _, _ in _walk(start, begin, size_bytes, coding):
        if tag <= last or (not count and tag >> 16 != _FIRST_GROUP):
            return False
        last, count = tag, count + 1
        if count == _ENOUGH:
            return True
    return False


def _walk(
    start: bytes, begin: int, size_bytes: int, coding: _Coding
) -> Iterator[tuple[int, bytes, int]]:
    """Yield the tag, value and end of each element, up to an invalid or too long one."""
    at = begin
    while at + 12 <= len(start):
        group, element = struct.unpack_from(f"{coding.order}HH", start, at)
        vr = start[at + 4 : at + 6]
        if not coding.explicit:
            (length,), value_at = struct.unpack_from("<I", start, at + 4), at + 8
        elif vr in _LONG:
            (length,), value_at = struct.unpack_from(f"{coding.order}I", start, at + 8), at + 12
        elif vr in _VRS:
            (length,), value_at = struct.unpack_from(f"{coding.order}H", start, at + 6), at + 8
        else:
            return
        end = value_at + length
        if length == _UNDEFINED or end > size_bytes:
            return
        yield group << 16 | element, start[value_at:end], end
        at = end


def _file_meta(syntax: bytes) -> bytes:
    """Return a group 0002 with only its length and the transfer syntax."""
    value = syntax + b"\0" * (len(syntax) % 2)
    element = _SYNTAX_TAG + struct.pack("<H", len(value)) + value
    return b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(element)) + element
