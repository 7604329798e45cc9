"""Headers: the allow-listed tags of one file, by dicomsdl or, as the second reader, by pydicom.

Only child processes call the readers: dicomsdl dies on some files (see `supervisor`). No tag that
may name a patient is on the list, and the few texts on it are let through only if they are one
of the words that DICOM defines.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lsdc.dicom.gate import OpenFile

# Keyword (PS3.6) by field. dicomsdl reads up to the last of them; pixels come after.
TAGS = {
    "rows": "Rows",
    "columns": "Columns",
    "pixel_spacing": "PixelSpacing",
    "image_position": "ImagePositionPatient",
    "image_orientation": "ImageOrientationPatient",
    "instance_number": "InstanceNumber",
    "spacing_between_slices": "SpacingBetweenSlices",
    "slice_thickness": "SliceThickness",
    "patient_position": "PatientPosition",
    "transfer_syntax": "TransferSyntaxUID",
    "sop_class": "SOPClassUID",
    "photometric": "PhotometricInterpretation",
    "samples_per_pixel": "SamplesPerPixel",
    "number_of_frames": "NumberOfFrames",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "high_bit": "HighBit",
    "pixel_representation": "PixelRepresentation",
    "rescale_intercept": "RescaleIntercept",
    "rescale_slope": "RescaleSlope",
}
LAST_TAG = 0x00281053

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
# As in `lsdc.geometry.planes`, which refuses what is further off.
_DIRECTION_TOLERANCE = 0.01


@dataclass(frozen=True)
class Header:
    """What a file's header says; None where a tag is missing, empty or not what it should be.

    Lengths are mm, positions and directions in patient space (LPS).

    Attributes:
        pixel_spacing: (row spacing, column spacing), both above zero.
        image_position: the centre of the first voxel.
        image_orientation: the directions of growing column and of growing row.
        pixel_representation: 1 where stored values are signed, else 0.
    """

    rows: int | None
    columns: int | None
    pixel_spacing: tuple[float, float] | None
    image_position: tuple[float, float, float] | None
    image_orientation: tuple[float, float, float, float, float, float] | None
    instance_number: int | None
    spacing_between_slices: float | None
    slice_thickness: float | None
    patient_position: str | None
    transfer_syntax: str | None
    sop_class: str | None
    photometric: str | None
    samples_per_pixel: int | None
    number_of_frames: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    rescale_intercept: float | None
    rescale_slope: float | None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Header":
        """A header from raw values by field, each checked for being what its tag promises."""
        integer = {name: _integer(values[name]) for name in _INTEGERS}
        number = {name: _number(values[name]) for name in _NUMBERS}
        spacing = _numbers(values["pixel_spacing"], 2)
        orientation = _numbers(values["image_orientation"], 6)
        return cls(
            **integer,
            rescale_intercept=number["rescale_intercept"],
            rescale_slope=number["rescale_slope"] or None,
            spacing_between_slices=number["spacing_between_slices"] or None,
            slice_thickness=number["slice_thickness"] or None,
            pixel_spacing=spacing if spacing is not None and min(spacing) > 0 else None,
            image_position=_numbers(values["image_position"], 3),
            image_orientation=orientation if _are_directions(orientation) else None,
            patient_position=_word(values["patient_position"], PATIENT_POSITIONS),
            photometric=_word(values["photometric"], PHOTOMETRICS),
            transfer_syntax=_uid(values["transfer_syntax"]),
            sop_class=_uid(values["sop_class"]),
        )


_INTEGERS = (
    "rows",
    "columns",
    "instance_number",
    "samples_per_pixel",
    "number_of_frames",
    "bits_allocated",
    "bits_stored",
    "high_bit",
    "pixel_representation",
)
_NUMBERS = ("rescale_intercept", "rescale_slope", "spacing_between_slices", "slice_thickness")
_VECTORS = ("pixel_spacing", "image_position", "image_orientation")
# Numbers that DICOM writes as text (DS, IS), and all else.
_TEXT_NUMBERS = {
    field: TAGS[field] for field in (*_NUMBERS, *_VECTORS, "instance_number", "number_of_frames")
}
_OTHERS = {field: keyword for field, keyword in TAGS.items() if field not in _TEXT_NUMBERS}


def read_with_dicomsdl(file: OpenFile) -> Header:
    """Read a header; may end the process. Raises what dicomsdl raises."""
    import dicomsdl

    return header_of(dicomsdl.open(file.path, load_until=LAST_TAG))


def header_of(dataset: Any) -> Header:
    """The header of a dicomsdl data set."""
    values = dict(zip(_OTHERS, dataset.getValues(list(_OTHERS.values())), strict=True))
    # dicomsdl takes an empty or garbled number for zero, and `1A` for 1: we look at the text.
    for field, keyword in _TEXT_NUMBERS.items():
        values[field] = _parse(dataset.getDataElement(keyword).toBytes())
    return Header.from_values(values)


def read_with_pydicom(file: OpenFile) -> Header:
    """Read a header. Raises what pydicom raises."""
    import pydicom

    with open(file.descriptor, "rb", closefd=False) as stream:
        dataset = pydicom.dcmread(
            stream, stop_before_pixels=True, specific_tags=list(TAGS.values())
        )
    return header_of_pydicom(dataset)


def header_of_pydicom(dataset: Any) -> Header:
    """The header of a pydicom data set."""
    values = {field: _value(dataset, keyword) for field, keyword in TAGS.items()}
    values["transfer_syntax"] = _value(dataset.file_meta, TAGS["transfer_syntax"])
    return Header.from_values(values)


def _value(dataset: Any, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):  # the text of a number is none: as if missing
        return None


def _parse(text: bytes) -> list[float] | float | None:
    """The numbers of a DS or IS."""
    try:
        numbers = [float(part) for part in text.rstrip(b" \0").split(b"\\")]
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
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _numbers(value: object, count: int) -> Any:
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        return None
    numbers = tuple(map(_number, value))
    return numbers if len(numbers) == count and None not in numbers else None


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


def _word(value: object, known: frozenset[str]) -> str | None:
    word = _text(value)
    return word if word in known else None


def _uid(value: object) -> str | None:
    uid = _text(value)
    return uid if _UID.fullmatch(uid) else None


def _text(value: object) -> str:
    # Bytes are what dicomsdl gives where the file does not say the type (VR UN).
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")
