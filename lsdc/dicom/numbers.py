"""Numbers as DICOM writes them in text, DS and IS (PS3.5 6.2); what is garbled is missing."""

import math
from typing import Any

# As in `lsdc.geometry.planes`, which refuses what is further off.
_DIRECTION_TOLERANCE = 0.01


def parse_number(text: bytes) -> float | None:
    """The number of a DS or IS; None where it is missing, garbled, or more than one."""
    return as_number(parse(text))


def parse_whole(text: bytes) -> int | None:
    """The whole number of an IS."""
    if text.isdigit() and len(text) < 10:  # as nearly all are
        return int(text)
    return as_whole(parse(text))


def parse_position(text: bytes) -> tuple[float, float, float] | None:
    """Three numbers."""
    if b"_" in text:
        return None
    try:
        x, y, z = map(float, text.rstrip(b"\0").split(b"\\"))
    except ValueError:
        return None
    return (x, y, z) if math.isfinite(x + y + z) else None


def parse_directions(text: bytes) -> tuple[float, ...] | None:
    """Two perpendicular unit vectors, but for rounding; garbled ones are none."""
    orientation = _numbers(parse(text), 6)
    if orientation is None:
        return None
    row, column = orientation[:3], orientation[3:]
    are_directions = (
        abs(math.hypot(*row) - 1) <= _DIRECTION_TOLERANCE
        and abs(math.hypot(*column) - 1) <= _DIRECTION_TOLERANCE
        and abs(sum(a * b for a, b in zip(row, column, strict=True))) <= _DIRECTION_TOLERANCE
    )
    return orientation if are_directions else None


def parse_spacing(text: bytes) -> tuple[float, ...] | None:
    """Two numbers above zero."""
    spacing = _numbers(parse(text), 2)
    return spacing if spacing is not None and min(spacing) > 0 else None


def parse(text: bytes) -> list[float] | float | None:
    """The numbers of a DS or IS."""
    if not text or b"_" in text:  # Python's own way to write numbers
        return None
    try:
        numbers = list(map(float, text.rstrip(b" \0").split(b"\\")))
    except ValueError:
        return None
    return numbers[0] if len(numbers) == 1 else numbers


def as_number(value: object) -> float | None:
    """A finite number, if it is one."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_whole(value: object) -> int | None:
    """A whole number within 32 bits, beyond which nothing that we read makes sense."""
    if type(value) is int and 0 <= value < 2**32:
        return value
    number = as_number(value)
    return (
        int(number)
        if number is not None and number == int(number) and abs(number) < 2**32
        else None
    )


def text_of_pydicom(dataset: Any, tag: int) -> bytes:
    """The bytes of an element as they are in the file; none where it is not there."""
    from pydicom.dataelem import RawDataElement

    if tag not in dataset:
        return b""
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    return str(element.value).encode()  # a sequence where text belongs: no number


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(map(float, value))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
