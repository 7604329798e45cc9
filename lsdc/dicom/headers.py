"""Headers: the allow-listed tags of one file, by dicomsdl or, as the second reader, by pydicom.

Only child processes call the readers: dicomsdl dies on some files (see `supervisor`). No tag that
may name a patient is on the list. The few texts on it are let through only if they are one of the
words that DICOM defines, and identifiers as numbers (see `_identifier`).

Both readers hand over what the file holds, numbers that DICOM writes as text (DS, IS) as text:
dicomsdl takes an empty or a garbled one for zero, and `1A` for 1.
"""

import hashlib
import math
import re
from functools import lru_cache
from typing import Any, NamedTuple

from lsdc.dicom.gate import OpenFile

# Keywords (PS3.6) in the order of `Format`: numbers and words, then numbers written as text.
_VALUES = {
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "SamplesPerPixel": 0x00280002,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PhotometricInterpretation": 0x00280004,
    "PatientPosition": 0x00185100,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "TransferSyntaxUID": 0x00020010,
    "SOPClassUID": 0x00080016,
    "MediaStorageSOPClassUID": 0x00020002,
}
_FILE_META = ("TransferSyntaxUID", "MediaStorageSOPClassUID")
_TEXTS = {
    "ImageOrientationPatient": 0x00200037,
    "PixelSpacing": 0x00280030,
    "NumberOfFrames": 0x00280008,
    "EchoTime": 0x00180081,
}
_INTEGERS = 7  # so many of the values are
# dicomsdl looks tags up sooner than keywords.
_TAGS, _TEXT_TAGS = list(_VALUES.values()), list(_TEXTS.values())
_NUMBER, _POSITION = 0x00200013, 0x00200032
RESCALE_TEXTS = {"RescaleIntercept": 0x00281052, "RescaleSlope": 0x00281053}
ALLOWED = (*_VALUES, *_TEXTS, "InstanceNumber", "ImagePositionPatient", *RESCALE_TEXTS)

# PixelRepresentation comes last of what a header needs, and every image has it.
_LAST_HEADER_TAG = 0x00280103
_LAST_HEADER_BYTES = b"\x28\x00\x03\x01"
_PAST_FILE_META = 256

PATIENT_POSITIONS = frozenset(
    ["HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL", "LFP", "LFS", "RFP", "RFS"]
)
PHOTOMETRICS = frozenset(
    [
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_420",
        "YBR_ICT",
        "YBR_RCT",
    ]
)
_UID = re.compile(r"[0-9.]{1,64}")
# DICOM's own and the vendors' transfer syntaxes; a patient's id cannot pass for one.
_SYNTAX = re.compile(r"1\.2\.840\.1[0-9.]{4,50}")
# DICOM's own (PS3.6 A).
_SOP_CLASS = re.compile(r"1\.2\.840\.10008\.[0-9.]{1,50}")
# The competition's own: `study`, and `study.series`.
_SHORT_UID = re.compile(r"(?:[0-9]{1,10}\.)?([0-9]{1,10})")
# As in `lsdc.geometry.planes`, which refuses what is further off.
_DIRECTION_TOLERANCE = 0.01


class Format(NamedTuple):
    """What the images of a series mostly share; None where a tag is missing, empty or garbled.

    Attributes:
        pixel_representation: 1 where stored values are signed, else 0.
        study_id: of the StudyInstanceUID: its number where it is one as the competition's files
            have it, else 63 bits of its digest, for a UID can lead to a patient (PS3.15 E.1).
        series_id: of the SeriesInstanceUID, likewise.
        sop_class: what kind of object this is; of SOPClassUID, and where that is not there, as in a
            DICOMDIR, of MediaStorageSOPClassUID.
        image_orientation: the directions of growing column and of growing row, in patient space.
        pixel_spacing: (row spacing, column spacing) in mm, both above zero.
        echo_time: in ms.
    """

    rows: int | None
    columns: int | None
    samples_per_pixel: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    photometric: str | None
    patient_position: str | None
    study_id: int | None
    series_id: int | None
    transfer_syntax: str | None
    sop_class: str | None
    image_orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    number_of_frames: int | None
    echo_time: float | None


class Header(NamedTuple):
    """What a file's header says.

    Attributes:
        image_position: the centre of the first voxel, in patient space (LPS), mm.
    """

    format: Format
    instance_number: int | None
    image_position: tuple[float, ...] | None


def read_with_dicomsdl(file: OpenFile) -> Header:
    """Read a header; may end the process. Raises what dicomsdl raises."""
    import dicomsdl

    start = file.start
    if start.find(_LAST_HEADER_BYTES, _PAST_FILE_META) >= 0:
        # A part of a file, in memory, is read sooner and more safely than a mapped file: dicomsdl
        # dies on one that is cut within its pixels.
        dataset = dicomsdl.open_memory(start, copy_data=False, load_until=_LAST_HEADER_TAG)
        header = _header(dataset)
        if header.format.pixel_representation is not None:  # the start held all that is needed
            return header
    if not file.is_whole:
        content = file.content()
        return _header(dicomsdl.open_memory(content, copy_data=False, load_until=_LAST_HEADER_TAG))
    return _header(dicomsdl.open(file.path, load_until=_LAST_HEADER_TAG))


def format_of(dataset: Any) -> Format:
    """The format of a dicomsdl data set."""
    element = dataset.getDataElement
    values = dataset.getValues(_TAGS)
    for tag in _TEXT_TAGS:
        values.append(element(tag).toBytes())
    return _format(tuple(values))


def _header(dataset: Any) -> Header:
    element = dataset.getDataElement
    return Header(
        format_of(dataset),
        _whole(element(_NUMBER).toBytes()),
        _position(element(_POSITION).toBytes()),
    )


def read_with_pydicom(file: OpenFile) -> Header:
    """Read a header. Raises what pydicom raises."""
    import pydicom

    with file.stream() as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(ALLOWED))
    return _header_of_pydicom(dataset)


def format_of_pydicom(dataset: Any) -> Format:
    """The format of a pydicom data set."""
    return _header_of_pydicom(dataset).format


def _header_of_pydicom(dataset: Any) -> Header:
    values = [
        _value(dataset.file_meta if keyword in _FILE_META else dataset, keyword)
        for keyword in _VALUES
    ]
    texts = [text_of_pydicom(dataset, tag) for tag in _TEXT_TAGS]
    number, position = (text_of_pydicom(dataset, tag) for tag in (_NUMBER, _POSITION))
    return Header(_format((*values, *texts)), _whole(number), _position(position))


def text_of_pydicom(dataset: Any, tag: int) -> bytes:
    """The bytes of an element as they are in the file; none where it is not there."""
    from pydicom.dataelem import RawDataElement

    if tag not in dataset:
        return b""
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    return str(element.value).encode()  # a sequence where text belongs: no number


def parse_number(text: bytes) -> float | None:
    """The number of a DS or IS; None where it is missing, garbled, or more than one."""
    return _number(_parse(text))


def _whole(text: bytes) -> int | None:
    if text.isdigit() and len(text) < 10:  # as nearly all are
        return int(text)
    return _integer(_parse(text))


def _position(text: bytes) -> tuple[float, float, float] | None:
    if b"_" in text:
        return None
    try:
        x, y, z = map(float, text.rstrip(b"\0").split(b"\\"))
    except ValueError:
        return None
    return (x, y, z) if math.isfinite(x + y + z) else None


def _format(values: tuple[Any, ...]) -> Format:
    try:
        return _known_format(values)
    except TypeError:  # several values where one belongs cannot be looked up
        return _new_format(values)


def _new_format(values: tuple[Any, ...]) -> Format:
    photometric, position, study, series, syntax, sop_class, media_class = map(
        _text, values[_INTEGERS : len(_VALUES)]
    )
    orientation, spacing, frames, echo_time = map(_parse, values[len(_VALUES) :])
    directions, spacings = _numbers(orientation, 6), _numbers(spacing, 2)
    rows, columns, samples, allocated, stored, high_bit, signed = map(_integer, values[:_INTEGERS])
    return Format(
        rows,
        columns,
        samples,
        allocated,
        stored,
        high_bit,
        signed,
        photometric if photometric in PHOTOMETRICS else None,
        position if position in PATIENT_POSITIONS else None,
        _identifier(study),
        _identifier(series),
        syntax if _SYNTAX.fullmatch(syntax) else None,
        next(filter(_SOP_CLASS.fullmatch, (sop_class, media_class)), None),
        directions if _are_directions(directions) else None,
        spacings if spacings is not None and min(spacings) > 0 else None,
        _integer(frames) or None,
        _number(echo_time),
    )


# The images of a series look one another's up.
_known_format = lru_cache(maxsize=64)(_new_format)


def _value(dataset: Any, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):  # not what its tag promises: as if missing
        return None


def _parse(text: bytes) -> list[float] | float | None:
    """The numbers of a DS or IS (PS3.5 6.2)."""
    if not text or b"_" in text:  # Python's own way to write numbers
        return None
    try:
        numbers = list(map(float, text.rstrip(b" \0").split(b"\\")))
    except ValueError:
        return None
    return numbers[0] if len(numbers) == 1 else numbers


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: object) -> int | None:
    if type(value) is int and 0 <= value < 2**32:
        return value
    number = _number(value)
    # Beyond 32 bits nothing that we read makes sense.
    return (
        int(number)
        if number is not None and number == int(number) and abs(number) < 2**32
        else None
    )


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(map(float, value))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _are_directions(orientation: tuple[float, ...] | None) -> bool:
    """Whether these are two perpendicular unit vectors, but for rounding; garbled ones are not."""
    if orientation is None:
        return False
    row, column = orientation[:3], orientation[3:]
    return (
        abs(math.hypot(*row) - 1) <= _DIRECTION_TOLERANCE
        and abs(math.hypot(*column) - 1) <= _DIRECTION_TOLERANCE
        and abs(sum(a * b for a, b in zip(row, column, strict=True))) <= _DIRECTION_TOLERANCE
    )


@lru_cache(maxsize=64)
def _identifier(uid: str) -> int | None:
    if not _UID.fullmatch(uid):
        return None
    if short := _SHORT_UID.fullmatch(uid):
        return int(short[1])
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big") >> 1


def _text(value: object) -> str:
    # Bytes are what dicomsdl gives where the file does not say the type (VR UN).
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")
