"""Headers: the allow-listed tags of one file, by dicomsdl or, as the second reader, by pydicom.

Only child processes call the readers: dicomsdl crashes on some files (see `supervisor`). No tag
that may name a patient is on the list. The few text tags pass only if their value is one of DICOM's
defined terms, and identifiers pass as numbers (see `_identifier`).

Both readers return numbers that DICOM writes as text (DS, IS) as text, since dicomsdl parses an
empty or garbled one as zero, and `1A` as 1.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, NamedTuple

from lsdc.dicom.functional_groups import (
    ENHANCED,
    PER_FRAME,
    SEQUENCES,
    DataSet,
    DataSetOfDicomsdl,
    DataSetOfPydicom,
    read_frames,
)
from lsdc.dicom.numbers import (
    as_whole,
    parse_directions,
    parse_number,
    parse_position,
    parse_spacing,
    parse_whole,
    text_of_pydicom,
)
from lsdc.dicom.preflight import OpenFile

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
    "RepetitionTime": 0x00180080,
    "ImageType": 0x00080008,
}
_INTEGERS = 7  # the number of integers among the values
# dicomsdl looks tags up faster than keywords.
_TAGS, _TEXT_TAGS = list(_VALUES.values()), list(_TEXTS.values())
_NUMBER, _POSITION = 0x00200013, 0x00200032
RESCALE_TEXTS = {"RescaleIntercept": 0x00281052, "RescaleSlope": 0x00281053}
ALLOWED = (*_VALUES, *_TEXTS, "InstanceNumber", "ImagePositionPatient", *RESCALE_TEXTS)

# PixelRepresentation is the last tag that a header needs, and every image has it.
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
        "YBR_PARTIAL_422",
        "YBR_ICT",
        "YBR_RCT",
        *("ARGB", "CMYK", "HSV", "XYB"),
    ]
)
# Words of ImageType (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1) of images that show where others lie.
_LOCALIZERS = frozenset(["LOCALIZER", "SCOUT"])
IMAGE_TYPES = ("original", "derived", "localizer")
_UID = re.compile(r"[0-9.]{1,64}")
# Transfer syntaxes of DICOM and of vendors; a patient's id cannot match.
_SYNTAX = re.compile(r"1\.2\.840\.1[0-9.]{4,50}")
# UIDs defined by DICOM (PS3.6 A).
_SOP_CLASS = re.compile(r"1\.2\.840\.10008\.[0-9.]{1,50}")
# UIDs of the competition: `study` and `study.series`.
_SHORT_UID = re.compile(r"(?:[0-9]{1,10}\.)?([0-9]{1,10})")


class Format(NamedTuple):
    """The attributes that images of a series mostly share; None if missing, empty or garbled.

    Attributes:
        pixel_representation: 1 where stored values are signed, else 0.
        study_id: the number in StudyInstanceUID if it has the competition's form, else 63 bits of
            its digest, since a UID can identify a patient (PS3.15 E.1).
        series_id: the same for SeriesInstanceUID.
        sop_class: the type of object: SOPClassUID or, if that is missing, as in a DICOMDIR,
            MediaStorageSOPClassUID.
        image_orientation: the directions of increasing column and row, in patient space (LPS).
        pixel_spacing: (row spacing, column spacing) in mm, both above zero.
        echo_time: the echo time in ms.
        repetition_time: the repetition time in ms.
        image_type: one of `IMAGE_TYPES`, by the words of ImageType.
        frames: `FRAME_NUMBERS` per frame, if functional groups give the frames' geometry.
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
    repetition_time: float | None
    image_type: str | None
    frames: tuple[float, ...] | None


class Header(NamedTuple):
    """A file's header.

    Attributes:
        image_position: the centre of the first voxel, in patient space (LPS), mm.
    """

    format: Format
    instance_number: int | None
    image_position: tuple[float, ...] | None


def read_with_dicomsdl(file: OpenFile) -> Header:
    """Read a header; may end the process. Raises what dicomsdl raises.

    Raises:
        RefusedError: functional groups contradict the frames.
    """
    import dicomsdl

    start = file.start
    if start.find(_LAST_HEADER_BYTES, _PAST_FILE_META) >= 0:
        # Reading the start from memory is faster and safer than mapping the file: dicomsdl crashes
        # on one that is truncated within its pixels.
        dataset = dicomsdl.open_memory(start, copy_data=False, load_until=_LAST_HEADER_TAG)
        header = _header(dataset)
        # Usually the start holds all that is needed.
        if header.format.pixel_representation is not None and not _needs_groups(header):
            return header
    content = b"" if file.is_whole else file.content()

    def read_to(tag: int) -> Any:
        if file.is_whole:
            return dicomsdl.open(file.path, load_until=tag)
        return dicomsdl.open_memory(content, copy_data=False, load_until=tag)

    header = _header(read_to(_LAST_HEADER_TAG))
    if not _needs_groups(header):
        return header
    return _with_frames(header, DataSetOfDicomsdl(read_to(PER_FRAME)))


def format_of(dataset: Any) -> Format:
    """Return the format of a dicomsdl data set."""
    element = dataset.getDataElement
    values = dataset.getValues(_TAGS)
    for tag in _TEXT_TAGS:
        values.append(element(tag).toBytes())
    return _format(tuple(values))


def _header(dataset: Any) -> Header:
    element = dataset.getDataElement
    return Header(
        format_of(dataset),
        parse_whole(element(_NUMBER).toBytes()),
        parse_position(element(_POSITION).toBytes()),
    )


def read_with_pydicom(file: OpenFile) -> Header:
    """Read a header. Raises what pydicom raises.

    Raises:
        RefusedError: functional groups contradict the frames.
    """
    import pydicom

    with file.stream() as stream:
        tags = [*_TAGS, *_TEXT_TAGS, _NUMBER, _POSITION, *SEQUENCES]
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags)
    header = _header_of_pydicom(dataset)
    return _with_frames(header, DataSetOfPydicom(dataset)) if _needs_groups(header) else header


def _needs_groups(header: Header) -> bool:
    """Return whether only functional groups give the image's geometry.

    The competition's files are Enhanced MR, but give it in the header as classic ones do.
    """
    form = header.format
    places = header.image_position, form.image_orientation, form.pixel_spacing
    return form.sop_class in ENHANCED and ((form.number_of_frames or 1) > 1 or None in places)


def _with_frames(header: Header, dataset: DataSet) -> Header:
    frames = read_frames(dataset, header.format.number_of_frames or 1)
    return header._replace(format=header.format._replace(frames=frames))


def format_of_pydicom(dataset: Any) -> Format:
    """Return the format of a pydicom data set."""
    return _header_of_pydicom(dataset).format


def _header_of_pydicom(dataset: Any) -> Header:
    values = [
        _value(dataset.file_meta if keyword in _FILE_META else dataset, keyword)
        for keyword in _VALUES
    ]
    texts = [text_of_pydicom(dataset, tag) for tag in _TEXT_TAGS]
    number, position = (text_of_pydicom(dataset, tag) for tag in (_NUMBER, _POSITION))
    return Header(_format((*values, *texts)), parse_whole(number), parse_position(position))


def _format(values: tuple[Any, ...]) -> Format:
    try:
        return _known_format(values)
    except TypeError:  # multiple values in a single-valued tag are unhashable
        return _new_format(values)


def _new_format(values: tuple[Any, ...]) -> Format:
    photometric, position, study, series, syntax, sop_class, media_class = map(
        _text, values[_INTEGERS : len(_VALUES)]
    )
    orientation, spacing, frames, echo_time, repetition_time, image_type = values[len(_VALUES) :]
    rows, columns, samples, allocated, stored, high_bit, signed = map(as_whole, values[:_INTEGERS])
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
        parse_directions(orientation),
        parse_spacing(spacing),
        parse_whole(frames) or None,
        parse_number(echo_time),
        parse_number(repetition_time),
        _image_type(image_type),
        None,
    )


# Images of one series share a cached format.
_known_format = lru_cache(maxsize=64)(_new_format)


def _value(dataset: Any, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):  # not of the tag's type: treated as missing
        return None


def _image_type(text: bytes) -> str | None:
    """Return which of `IMAGE_TYPES` the words of ImageType mean, or None."""
    words = [word.strip(b" \0") for word in text.upper().split(b"\\")]
    if not _LOCALIZERS.isdisjoint(word.decode(errors="replace") for word in words):
        return "localizer"
    return {b"ORIGINAL": "original", b"DERIVED": "derived"}.get(words[0])


@lru_cache(maxsize=64)
def _identifier(uid: str) -> int | None:
    if not _UID.fullmatch(uid):
        return None
    if short := _SHORT_UID.fullmatch(uid):
        return int(short[1])
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big") >> 1


def _text(value: object) -> str:
    # dicomsdl returns bytes where the file does not tell the type (VR UN).
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")
