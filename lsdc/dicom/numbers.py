"""Parse DICOM's textual numbers, DS and IS (PS3.5 6.2); garbled ones count as missing."""

import math
from typing import Any

# As in `lsdc.geometry.planes`, which refuses larger deviations.
_DIRECTION_TOLERANCE = 0.01


def parse_number(text: bytes) -> float | None:
    """Return the number of a DS or IS; None if it is missing, garbled or multiple.

    >>> [parse_number(text) for text in (b"3.5 ", b"3,5", b"1_000", b"inf", b"")]
    [3.5, None, None, None, None]
    """
    return as_number(parse(text))


def parse_whole(text: bytes) -> int | None:
    """Return the integer of an IS, or None."""
    if text.isdigit() and len(text) < 10:  # nearly all
        return int(text)
    return as_whole(parse(text))


def parse_position(text: bytes) -> tuple[float, float, float] | None:
    """Return the three numbers of a position, or None."""
    if b"_" in text:
        return None
    try:
        x, y, z = map(float, text.rstrip(b"\0").split(b"\\"))
    except ValueError:
        return None
    return (x, y, z) if math.isfinite(x + y + z) else None


def parse_directions(text: bytes) -> tuple[float, ...] | None:
    """Return two perpendicular unit vectors, up to rounding; None if they are not."""
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
    """Return two numbers above zero, or None."""
    spacing = _numbers(parse(text), 2)
    return spacing if spacing is not None and min(spacing) > 0 else None


def parse_numbers(text: bytes) -> tuple[float, ...] | None:
    r"""Return all numbers of a DS with one or more; None if it is missing or any is garbled.

    >>> [parse_numbers(text) for text in (b"00036\\00036", b"40 ", b"40\\", b"")]
    [(36.0, 36.0), (40.0,), None, None]
    """
    numbers = parse(text)
    several = numbers if isinstance(numbers, list) else [numbers]
    known = [number for number in several if number is not None and math.isfinite(number)]
    return tuple(known) if len(known) == len(several) else None


def parse(text: bytes) -> list[float] | float | None:
    """Return the numbers of a DS or IS."""
    if not text or b"_" in text:  # only Python allows `_` in numbers
        return None
    try:
        numbers = list(map(float, text.rstrip(b" \0").split(b"\\")))
    except ValueError:
        return None
    return numbers[0] if len(numbers) == 1 else numbers


def as_number(value: object) -> float | None:
    """Return a value as a finite number, or None."""
    try:
        number = float(value)  # type: ignore[arg-type]  # raises if not a number
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_whole(value: object) -> int | None:
    """Return a value as an integer within 32 bits, the range of all tags we read; else None."""
    if type(value) is int and 0 <= value < 2**32:
        return value
    number = as_number(value)
    return (
        int(number)
        if number is not None and number == int(number) and abs(number) < 2**32
        else None
    )


def text_of_pydicom(dataset: Any, tag: int) -> bytes:
    """Return the bytes of an element as stored in the file; empty if it is missing."""
    from pydicom.dataelem import RawDataElement

    if tag not in dataset:
        return b""
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    return str(element.value).encode()  # a sequence in place of text: not a number


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(map(float, value))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
