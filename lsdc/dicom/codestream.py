"""Read the header of a JPEG, JPEG-LS or JPEG 2000 image before any decoder sees it."""

import struct
from dataclasses import dataclass

_START_OF_SCAN = 0xDA
# SOF0..SOF15 without DHT, JPG and DAC, which share their range (ITU-T T.81, table B.1).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_JPEG_LS_FRAME = 0xF7  # SOF55, ITU-T T.87

JPEG, JPEG_LS, JPEG_2000, JPEG_XL = "JPEG", "JPEG-LS", "JPEG 2000", "JPEG XL"
# By the prefix of the transfer syntax.
_FAMILIES = {
    "1.2.840.10008.1.2.4.5": JPEG,
    "1.2.840.10008.1.2.4.7": JPEG,
    "1.2.840.10008.1.2.4.8": JPEG_LS,
    "1.2.840.10008.1.2.4.9": JPEG_2000,
    "1.2.840.10008.1.2.4.20": JPEG_2000,
    "1.2.840.10008.1.2.4.11": JPEG_XL,
}


@dataclass(frozen=True)
class CodedImage:
    """The size and type of a coded image; `signed` is None if its format does not specify it."""

    family: str
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool | None

    def __str__(self) -> str:
        sign = "" if self.signed is None else "signed " if self.signed else "unsigned "
        return (
            f"{self.rows} x {self.columns} pixels of {self.components} samples of "
            f"{self.bits} {sign}bits"
        )


def family_of(syntax: str | None) -> str | None:
    """Return the family of codecs that a transfer syntax names, if its codestreams have headers."""
    return next(
        (name for start, name in _FAMILIES.items() if (syntax or "").startswith(start)), None
    )


def family_in(coded: bytes) -> str | None:
    """Return the family of a coded image, by its first bytes."""
    image = describe(coded)
    if image is not None:
        return image.family
    if coded.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return JPEG_XL
    if coded.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")):
        return JPEG_2000
    return JPEG if coded.startswith(b"\xff\xd8\xff") else None


def describe(coded: bytes) -> CodedImage | None:
    """Read the first frame's own header; None if it is neither JPEG nor JPEG 2000."""
    try:
        if coded.startswith(b"\xff\xd8"):
            return _describe_jpeg(coded)
        if coded.startswith(b"\xff\x4f\xff\x51"):
            return _describe_jpeg_2000(coded)
    except struct.error:
        pass  # it ends before the frame header
    return None


def _describe_jpeg(coded: bytes) -> CodedImage | None:
    at = 2
    while True:
        prefix, marker, length = struct.unpack_from(">BBH", coded, at)
        if prefix != 0xFF or marker == _START_OF_SCAN:
            return None
        if marker in _START_OF_FRAME or marker == _START_OF_JPEG_LS_FRAME:
            bits, rows, columns, components = struct.unpack_from(">BHHB", coded, at + 4)
            family = JPEG if marker in _START_OF_FRAME else JPEG_LS
            return CodedImage(family, rows, columns, components, bits, signed=None)
        at += 2 + length


def _describe_jpeg_2000(coded: bytes) -> CodedImage:
    """Read the SIZ segment (ITU-T T.800, A.5.1), which follows the start of the codestream."""
    right, bottom, left, top = struct.unpack_from(">4I", coded, 8)
    components, depth = struct.unpack_from(">HB", coded, 40)
    size = bottom - top, right - left
    return CodedImage(JPEG_2000, *size, components, bits=(depth & 0x7F) + 1, signed=depth >= 0x80)
