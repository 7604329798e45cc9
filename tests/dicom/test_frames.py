"""Frames: they come in pieces, several at once, and from children that cannot be trusted."""

import io
import struct

import pytest

from lsdc.dicom.frames import BrokenFrameError, pack, pack_paths, read_paths, unpack


def test_frames_are_put_together_from_any_pieces() -> None:
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
def test_noise_is_no_frame(noise: bytes) -> None:
    with pytest.raises(BrokenFrameError):
        unpack(bytearray(noise))


def test_paths_come_through_whatever_their_bytes() -> None:
    batches = [[b"/a/b.dcm", b"\xff\n\0", b""], [b"x" * 70_000]]
    stream = io.BytesIO(b"".join(map(pack_paths, batches)))
    assert [read_paths(stream), read_paths(stream), read_paths(stream)] == [*batches, []]


def test_a_request_that_breaks_off_is_the_end() -> None:
    assert read_paths(io.BytesIO(pack_paths([b"/a/b.dcm"])[:-1])) == []
