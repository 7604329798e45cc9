"""Frames arrive in pieces, several at once, and from children that cannot be trusted."""

import io
import struct

import pytest

from lsdc.dicom.frames import (
    BrokenFrameError,
    HeaderBatch,
    pack,
    pack_request,
    read_request,
    unpack,
)
from lsdc.dicom.functional_groups import FRAME_NUMBERS
from lsdc.dicom.headers import Format, Header


def test_frames_are_assembled_from_any_pieces() -> None:
    sent = b"".join([*pack({"a": 1}, b"body"), *pack({"b": [None, 2.5]})])
    received, frames = bytearray(), []
    for at in range(0, len(sent), 3):
        received += sent[at : at + 3]
        while (frame := unpack(received)) is not None:
            frames.append(frame)
    assert frames == [({"a": 1}, b"body"), ({"b": [None, 2.5]}, b"")]
    assert not received


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff" * 64,
        struct.pack("<IQ", 4, 2**40) + b"null",
        struct.pack("<IQ", 4, 0) + b"null",
        struct.pack("<IQ", 4, 0) + b"\xff{}]",
    ],
)
def test_invalid_bytes_are_refused(noise: bytes) -> None:
    with pytest.raises(BrokenFrameError):
        unpack(bytearray(noise))


def test_paths_of_any_bytes_survive_a_request() -> None:
    batches = [
        [(b"/a/b.dcm", 3, 1), (b"\xff\n\0", -1, 9), (b"", 0, 1)],
        [(b"x" * 70_000, 7, 2**16)],
    ]
    requests = (pack_request(*zip(*batch, strict=True)) for batch in batches)
    stream = io.BytesIO(b"".join(requests))
    assert [read_request(stream) for _ in range(3)] == [*batches, []]


def test_truncated_request_ends_the_stream() -> None:
    assert read_request(io.BytesIO(pack_request([b"/a/b.dcm"], [0], [1])[:-1])) == []


def test_headers_with_many_frames_are_sent_in_small_batches() -> None:
    batch, sent, begun = HeaderBatch(), 0, 0
    nothing = Format(*[None] * len(Format._fields))
    for file in range(70):
        numbers = (0.5,) * 600 * FRAME_NUMBERS
        batch.add(Header(nothing._replace(frames=numbers), 1, None), (1, 1), 0)
        begun += 1
        if batch.is_full() or file == 69:
            head, _ = unpack(bytearray(b"".join(batch.rest()))) or ({}, b"")
            assert head["count"] == begun <= 34
            sent, begun = sent + begun, 0
        assert not batch.is_full()
    assert sent == 70
