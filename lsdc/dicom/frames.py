"""Frames: what supervisor and child send each other, lengths first; nothing in them is code.

A frame is a head of JSON and a body of raw bytes. A child that reads hostile files may be made to
send anything, so its frames are data to be checked, never a pickle.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

_LENGTHS = struct.Struct("<IQ")  # of head and body
_PATH_LENGTH = struct.Struct("<I")
# Far above what any answer needs: a longer frame is noise.
_MAX_HEAD_BYTES = 2**20
_MAX_BODY_BYTES = 2**32


class BrokenFrameError(Exception):
    """What came is no frame."""


def pack(head: dict[str, Any], body: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """The parts of a frame, to be written one after the other."""
    encoded = json.dumps(head).encode()
    return [_LENGTHS.pack(len(encoded), len(body)) + encoded, body]


def unpack(received: bytearray) -> tuple[dict[str, Any], bytearray] | None:
    """Take the first whole frame off `received`; None where it has not all come yet.

    Raises:
        BrokenFrameError: it is no frame.
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
    except ValueError:
        raise BrokenFrameError from None
    if not isinstance(head, dict):
        raise BrokenFrameError
    body = received[body_start:end]
    del received[:end]
    return head, body


def pack_paths(paths: Sequence[bytes]) -> bytes:
    """A batch of paths, as the supervisor asks for them."""
    packed = b"".join(_PATH_LENGTH.pack(len(path)) + path for path in paths)
    return _LENGTHS.pack(len(paths), len(packed)) + packed


def read_paths(stream: BinaryIO) -> list[bytes]:
    """The next batch of paths; empty at the end of the stream, when the supervisor is gone."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return []
    count, size = _LENGTHS.unpack(lengths)
    packed = stream.read(size)
    if len(packed) < size:
        return []
    paths, at = [], 0
    for _ in range(count):
        (length,) = _PATH_LENGTH.unpack_from(packed, at)
        at += _PATH_LENGTH.size
        paths.append(packed[at : at + length])
        at += length
    return paths
