"""Frames: the messages between supervisor and child, with lengths first; they contain no code.

A frame is a head of JSON and a body of raw bytes. A child that reads hostile files may be made to
send anything, so its frames are checked as data and never unpickled.
"""

import json
import math
import struct
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from lsdc.dicom.functional_groups import FRAME_NUMBERS

if TYPE_CHECKING:
    from lsdc.dicom.headers import Header

_LENGTHS = struct.Struct("<IQ")  # of head and body
_FILE = struct.Struct("<IiI")  # path length, slot for its image, image number
# The number of files that a child has begun before the current one, in shared memory.
COUNT = struct.Struct("<Q")
# Far more than any answer needs: a longer frame is invalid.
_MAX_HEAD_BYTES = 2**26
_MAX_BODY_BYTES = 2**32

# The frames in a batch of multi-frame files: some 5 MB of head.
_MOST_FRAMES = 20_000

# A file's row in a batch of headers: format index, bytes, mtime in ns, instance number, checksum of
# SOPInstanceUID; position.
HEADER_INTEGERS, HEADER_NUMBERS = 5, 3
NO_NUMBER = -(2**63)
_NO_POSITION = (math.nan,) * HEADER_NUMBERS


class BrokenFrameError(Exception):
    """The received data are not a frame."""


class HeaderBatch:
    """Headers that become one frame: each format once, the rest as arrays of numbers."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._formats: list[Any] = []
        # By identity, since the same format is mostly the same object, and hashing one takes time.
        self._codes: dict[int, int] = {}
        self._integers, self._numbers = array("q"), array("d")
        self._frame_numbers = 0

    def add(self, header: "Header", status: tuple[int, int], slot: int) -> None:  # noqa: ARG002
        """Hold a header back; `slot` is for images."""
        form, number, position, checksum = header
        which = self._codes.get(id(form))
        if which is None:
            which = self._codes[id(form)] = len(self._formats)
            self._formats.append(form)
            self._frame_numbers += len(form.frames or ())
        number = NO_NUMBER if number is None else number
        self._integers.extend((which, *status, number, NO_NUMBER if checksum is None else checksum))
        self._numbers.extend(position or _NO_POSITION)

    def is_full(self) -> bool:
        """Whether it should be sent before more is added."""
        return self._frame_numbers >= _MOST_FRAMES * FRAME_NUMBERS

    def rest(self) -> list[bytes | memoryview]:
        """The frame of all that was added since the last one."""
        if not self._integers:
            return []
        count = len(self._integers) // HEADER_INTEGERS
        head = {"count": count, "formats": self._formats}
        body = self._integers.tobytes() + self._numbers.tobytes()
        self._begin()
        return pack(head, body)


def pack(head: dict[str, Any], body: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """Return the parts of a frame, to be written one after the other."""
    encoded = json.dumps(head).encode()
    return [_LENGTHS.pack(len(encoded), len(body)) + encoded, body]


def unpack(received: bytearray) -> tuple[dict[str, Any], bytearray] | None:
    """Remove and return the first whole frame of `received`; None if it is still incomplete.

    Raises:
        BrokenFrameError: the data are not a frame.
    """
    if len(received) < _LENGTHS.size:
        return None
    head_bytes, body_bytes = _LENGTHS.unpack_from(received)
    if head_bytes > _MAX_HEAD_BYTES or body_bytes > _MAX_BODY_BYTES:
        raise BrokenFrameError
    body_start = _LENGTHS.size + head_bytes
    end = body_start + body_bytes
    if len(received) < end:
        return None
    try:
        head = json.loads(received[_LENGTHS.size : body_start])
    except (ValueError, RecursionError):
        raise BrokenFrameError from None
    if not isinstance(head, dict):
        raise BrokenFrameError
    body = received[body_start:end]
    del received[:end]
    return head, body


def pack_request(paths: Sequence[bytes], slots: Sequence[int], images: Sequence[int]) -> bytes:
    """Pack a batch of paths, each with the slot for its image and the number of that image."""
    files = zip(paths, slots, images, strict=True)
    packed = b"".join(_FILE.pack(len(path), slot, image) + path for path, slot, image in files)
    return _LENGTHS.pack(len(paths), len(packed)) + packed


def read_request(stream: BinaryIO) -> list[tuple[bytes, int, int]]:
    """Read the next batch of paths, slots and image numbers; empty once the supervisor is gone."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return []
    count, size = _LENGTHS.unpack(lengths)
    packed = stream.read(size)
    if len(packed) < size:
        return []
    files, at = [], 0
    for _ in range(count):
        length, slot, image = _FILE.unpack_from(packed, at)
        at += _FILE.size
        files.append((packed[at : at + length], slot, image))
        at += length
    return files
