"""Functional groups: the attributes of each frame in multi-frame files (PS3.3 C.7.6.16).

A group is in the frame's own item or in the item that all frames share.
"""

import math
from typing import Any, NamedTuple, Protocol, Self

from lsdc.dicom.numbers import (
    as_number,
    parse_directions,
    parse_number,
    parse_position,
    parse_spacing,
    text_of_pydicom,
)
from lsdc.dicom.preflight import RefusedError
from lsdc.messages import counted

# Enhanced and Legacy Converted Enhanced CT, MR and PET: their frames are slices.
ENHANCED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.4", "130", "128.1")
)
_SHARED, PER_FRAME = 0x52009229, 0x52009230
SEQUENCES = (_SHARED, PER_FRAME)
# Position, directions, spacing and echo time of a frame; NaN where one is missing.
FRAME_NUMBERS = 3 + 6 + 2 + 1
_MOST_FRAMES = 2**16

# A group's sequence and the element in it.
_POSITION = 0x00209113, 0x00200032
_ORIENTATION = 0x00209116, 0x00200037
_SPACING = 0x00289110, 0x00280030
_RESCALE = 0x00289145, (0x00281052, 0x00281053)  # intercept, slope
_ECHO, _EFFECTIVE_ECHO_TIME = 0x00189114, 0x00189082
# Where conversion from classic files puts attributes without a group: per frame, shared.
_UNASSIGNED, _ECHO_TIME = (0x00209171, 0x00209170), 0x00180081


class DataSet(Protocol):
    """A data set or an item of a sequence, independent of the library that read it."""

    def items(self, tag: int) -> list[Self]:
        """The items of a sequence; none where it is not there."""
        ...

    def text(self, tag: int) -> bytes:
        """A text as it is in the file; none where it is not there."""
        ...

    def number(self, tag: int) -> float | None:
        """A binary number."""
        ...


class DataSetOfDicomsdl:
    """A data set that dicomsdl has read."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def items(self, tag: int) -> list[Self]:
        """See `DataSet`."""
        sequence = self._dataset.getDataElement(tag).toSequence()
        return [type(self)(sequence[n]) for n in range(len(sequence))] if sequence else []

    def text(self, tag: int) -> bytes:
        """See `DataSet`."""
        text: bytes = self._dataset.getDataElement(tag).toBytes()
        return text

    def number(self, tag: int) -> float | None:
        """See `DataSet`."""
        element = self._dataset.getDataElement(tag)
        return as_number(element.toDouble()) if element.length() else None


class DataSetOfPydicom:
    """A data set that pydicom has read."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def items(self, tag: int) -> list[Self]:
        """See `DataSet`."""
        element = self._dataset.get(tag)
        return [type(self)(item) for item in element.value] if element and element.value else []

    def text(self, tag: int) -> bytes:
        """See `DataSet`."""
        return text_of_pydicom(self._dataset, tag)

    def number(self, tag: int) -> float | None:
        """See `DataSet`."""
        element = self._dataset.get(tag)
        return None if element is None else as_number(element.value)


def read_frames(dataset: DataSet, count: int) -> tuple[float, ...]:
    """Read the geometry of each frame: `FRAME_NUMBERS` values per frame, concatenated.

    Args:
        dataset: a data set with functional groups.
        count: NumberOfFrames.

    Raises:
        RefusedError: there are not as many groups as frames.
    """
    numbers: list[float] = []
    for groups in _groups(dataset, count):
        # Each of several frames has its own position: a shared one applies to none.
        own = groups if count == 1 else _Groups(groups.places[:1])
        numbers += parse_position(own.text(*_POSITION)) or [math.nan] * 3
        numbers += parse_directions(groups.text(*_ORIENTATION)) or [math.nan] * 6
        numbers += parse_spacing(groups.text(*_SPACING)) or [math.nan] * 2
        numbers.append(_echo_time(groups))
    return tuple(numbers)


def read_rescale(dataset: DataSet, count: int, frame: int) -> list[bytes]:
    """Read RescaleIntercept and RescaleSlope of frame `frame` of `count`, from 1, as stored.

    A single frame extracted from a file, with the groups of all frames, has the shared values.

    Raises:
        RefusedError: there are not as many groups as frames.
    """
    if count == 1 and len(dataset.items(PER_FRAME)) != 1:
        groups = _Groups(tuple(dataset.items(_SHARED)[:1]))
    else:
        groups = _groups(dataset, count)[frame - 1]
    sequence, tags = _RESCALE
    return [groups.text(sequence, tag) for tag in tags]


class _Groups(NamedTuple):
    """The items that hold a frame's groups: its own and the shared one."""

    places: tuple[DataSet, ...]

    def find(self, sequence: int) -> DataSet | None:
        """Return the one item of a group; None if there is none."""
        found = (item for place in self.places for item in place.items(sequence))
        return next(found, None)

    def text(self, sequence: int, tag: int) -> bytes:
        """Return an element of a group, as stored in the file."""
        group = self.find(sequence)
        return b"" if group is None else group.text(tag)


def _groups(dataset: DataSet, count: int) -> list[_Groups]:
    if count > _MOST_FRAMES:
        raise RefusedError(f"{count} frames, expected at most {_MOST_FRAMES}")
    shared, own = (dataset.items(tag) for tag in SEQUENCES)
    if count == 1 and not own:
        return [_Groups(tuple(shared[:1]))]
    if len(own) != count:
        raise RefusedError(
            f"{counted(count, 'frame')}, but functional groups for {len(own)}, so the positions of "
            "the frames are unknown"
        )
    return [_Groups((item, *shared[:1])) for item in own]


def _echo_time(groups: _Groups) -> float:
    echo = groups.find(_ECHO)
    time = None if echo is None else echo.number(_EFFECTIVE_ECHO_TIME)
    for sequence in _UNASSIGNED:
        if time is None:
            time = parse_number(groups.text(sequence, _ECHO_TIME))
    return math.nan if time is None else time
