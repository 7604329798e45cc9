"""What a JPEG or JPEG 2000 image says of itself, before a decoder is let near it."""

import struct
from dataclasses import dataclass

_START_OF_SCAN = 0xDA
# SOF0..SOF15 without DHT, JPG and DAC, which share their range (ITU-T T.81, table B.1).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class CodedImage:
    """The size and kind of a coded image; `signed` is None where its format does not say."""

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool | None


def describe(coded: bytes) -> CodedImage | None:
    """Read the first frame's own header; None if it is neither JPEG nor JPEG 2000."""
    try:
        if coded.startswith(b"\xff\xd8"):
            return _describe_jpeg(coded)
        if coded.startswith(b"\xff\x4f\xff\x51"):
            return _describe_jpeg_2000(coded)
    except struct.error:
        pass  # it ends before it has said so
    return None


def _describe_jpeg(coded: bytes) -> CodedImage | None:
    at = 2
    while True:
        prefix, marker, length = struct.unpack_from(">BBH", coded, at)
        if prefix != 0xFF or marker == _START_OF_SCAN:
            return None
        if marker in _START_OF_FRAME:
            bits, rows, columns, components = struct.unpack_from(">BHHB", coded, at + 4)
            return CodedImage(rows, columns, components, bits, signed=None)
        at += 2 + length


def _describe_jpeg_2000(coded: bytes) -> CodedImage:
    """The SIZ segment (ITU-T T.800, A.5.1), which follows the start of the codestream."""
    right, bottom, left, top = struct.unpack_from(">4I", coded, 8)
    components, depth = struct.unpack_from(">HB", coded, 40)
    return CodedImage(
        bottom - top, right - left, components, bits=(depth & 0x7F) + 1, signed=depth >= 0x80
    )
