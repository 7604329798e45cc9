"""Functional groups: what files of several frames say of each frame (PS3.3 C.7.6.16).

A group stands in the frame's own item, or in the one that all frames share.
"""

import math
from typing import Any, NamedTuple

from lsdc.dicom.gate import RefusedError
from lsdc.dicom.numbers import (
    as_number,
    parse_directions,
    parse_number,
    parse_position,
    parse_spacing,
    text_of_pydicom,
)

# Enhanced and Legacy Converted Enhanced CT, MR and PET: their frames are slices.
ENHANCED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.4", "130", "128.1")
)
SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
# Position, directions, spacing, echo time of a frame; NaN where one is missing.
FRAME_NUMBERS = 3 + 6 + 2 + 1
_MOST_FRAMES = 2**16

_POSITION, _ORIENTATION, _SPACING = 0x00200032, 0x00200037, 0x00280030
_ECHO_TIME = 0x00180081
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053


def read_frames(dataset: Any, count: int) -> tuple[float, ...]:
    """Where each frame lies: `FRAME_NUMBERS` of each, one after the other.

    Args:
        dataset: of pydicom.
        count: NumberOfFrames.

    Raises:
        RefusedError: there are not as many groups as frames.
    """
    numbers: list[float] = []
    for groups in _groups(dataset, count):
        position = parse_position(groups.text("PlanePositionSequence", _POSITION))
        directions = parse_directions(groups.text("PlaneOrientationSequence", _ORIENTATION))
        spacing = parse_spacing(groups.text("PixelMeasuresSequence", _SPACING))
        numbers += position or [math.nan] * 3
        numbers += directions or [math.nan] * 6
        numbers += spacing or [math.nan] * 2
        numbers.append(_echo_time(groups))
    return tuple(numbers)


def read_rescale(dataset: Any, count: int, frame: int) -> list[bytes]:
    """RescaleIntercept and RescaleSlope of one frame of `count`, from 1, as they are in the file.

    Raises:
        RefusedError: there are not as many groups as frames.
    """
    groups = _groups(dataset, count)[frame - 1]
    group = "PixelValueTransformationSequence"
    return [groups.text(group, tag) for tag in (_INTERCEPT, _SLOPE)]


class _Groups(NamedTuple):
    """The items in which a frame's groups stand: its own, and the shared one."""

    own: Any
    shared: Any

    def find(self, keyword: str) -> Any:
        """The one item of a group; None where there is none."""
        for item in (self.own, self.shared):
            sequence = item.get(keyword) if item is not None else None
            if sequence:
                return sequence[0]
        return None

    def text(self, keyword: str, tag: int) -> bytes:
        """An element of a group, as it is in the file."""
        group = self.find(keyword)
        return b"" if group is None else text_of_pydicom(group, tag)


def _groups(dataset: Any, count: int) -> list[_Groups]:
    if count > _MOST_FRAMES:
        raise RefusedError(f"{count} frames, expected at most {_MOST_FRAMES}")
    shared, own = (list(dataset.get(keyword) or []) for keyword in SEQUENCES)
    if count == 1 and not own:
        own = [None]
    if len(own) != count:
        raise RefusedError(f"{count} frames, but functional groups of {len(own)}")
    return [_Groups(item, shared[0] if shared else None) for item in own]


def _echo_time(groups: _Groups) -> float:
    echo = groups.find("MREchoSequence")
    if echo is not None and (time := as_number(echo.get("EffectiveEchoTime"))) is not None:
        return time
    # Where conversion from classic files leaves what no group has a place for.
    for keyword in (
        "UnassignedPerFrameConvertedAttributesSequence",
        "UnassignedSharedConvertedAttributesSequence",
    ):
        if (time := parse_number(groups.text(keyword, _ECHO_TIME))) is not None:
            return time
    return math.nan
