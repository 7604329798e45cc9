"""The parts before a data set may be missing; other data are not taken for a data set."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian

from lsdc.dicom.headers import Header
from lsdc.dicom.part10 import AS_IT_IS, open_data_set
from lsdc.dicom.pixels import read_with_pydicom
from lsdc.dicom.preflight import open_dicom
from lsdc.dicom.reader import Unreadable
from tests.dicom.conftest import WriteDicom
from tests.dicom.file_meta import SYNTAX, put_together, take_apart
from tests.dicom.reading import by_pydicom, images_by_index, read_all


def bare(content: bytes) -> bytes:
    """Return only the data set."""
    return take_apart(content)[1]


def with_syntax(content: bytes, element: bytes) -> bytes:
    """Return a file with this element, or none, as transfer syntax in its meta information."""
    elements, data_set = take_apart(content)
    return put_together(elements | {SYNTAX: element}, data_set)


# The missing parts of a file.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "all before the data set": bare,
    "preamble": lambda content: content[128:],
    "preamble and prefix": lambda content: content[132:],
    "prefix": lambda content: content[:128] + content[132:],
    "prefix and file meta": lambda content: content[:128] + bare(content),
    "prefix overwritten": lambda content: content[:128] + bytes(4) + content[132:],
    "file meta": lambda content: content[:132] + bare(content),
    "transfer syntax": lambda content: with_syntax(content, b""),
    "value of the transfer syntax": lambda content: with_syntax(content, b"\x02\0\x10\0UI\0\0"),
}


def sound_files(write_dicom: WriteDicom) -> list[Path]:
    """Write a file in each encoding that can be inferred from its bytes."""
    pixels = np.random.default_rng(3).integers(0, 4096, (24, 16), dtype=np.uint16)
    paths = [
        write_dicom(f"{syntax}.ima", pixels, syntax=syntax) for syntax in ("explicit", "implicit")
    ]
    big = write_dicom("big.ima", pixels)
    dataset = pydicom.dcmread(big)
    dataset.PixelData = pixels.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(big, dataset, implicit_vr=False, little_endian=False)
    return [*paths, big]


def test_header_and_pixels_equal_those_of_the_intact_file(write_dicom: WriteDicom) -> None:
    headers, pixels, broken = [], [], []
    for path in sound_files(write_dicom):
        for number, damage in enumerate(DAMAGES.values()):
            headers.append(by_pydicom(path))
            pixels.append(pydicom.dcmread(path).pixel_array)
            broken.append(path.with_name(f"{number}-{path.name}"))
            broken[-1].write_bytes(damage(path.read_bytes()))
    for path, found, header in zip(broken, read_all(broken), headers, strict=True):
        for read in (found, by_pydicom(path)):
            assert isinstance(read, Header), f"{path.name}: {read}"
            assert read == header, path.name
    for number, image in images_by_index(broken):
        assert not isinstance(image, Unreadable), f"{broken[number].name}: {image.reason}"
        np.testing.assert_array_equal(image, pixels[number])
        with open_dicom(os.fsencode(broken[number])) as file:
            np.testing.assert_array_equal(read_with_pydicom(file).stored, pixels[number])


def test_long_header_of_a_bare_file_is_read_completely(write_dicom: WriteDicom) -> None:
    path = write_dicom()
    content = path.read_bytes()
    header = by_pydicom(path)
    at = content.index(b"\x28\x00\x02\x00")
    filler = struct.pack("<HH2s2xI", 0x21, 0x1010, b"UN", 9000) + bytes(9000)
    path.write_bytes(bare(content[:at] + filler + content[at:]))
    assert read_all([path]) == [header]


@pytest.mark.parametrize("name", ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_files_without_meta_information_are_read_like_pydicom_with_force(
    pydicom_files: list[Path], name: str
) -> None:
    (path,) = [path for path in pydicom_files if path.name == name]
    dataset = pydicom.dcmread(path, force=True)
    (header,) = read_all([path])
    assert isinstance(header, Header)
    assert header.format.rows == dataset.get("Rows")
    assert header.format.sop_class == dataset.get("SOPClassUID")


png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(300)
STRANGERS = {
    "text": b"The patient was asked to lie still. " * 40,
    "png": png,
    "png after a preamble": bytes(128) + png,
    "pdf": b"%PDF-1.7\n" + b"1 0 obj << >> endobj\n" * 30,
    "zip": b"PK\x03\x04" + zlib.compress(bytes(range(256)) * 8),
    "gzip": b"\x1f\x8b\x08\x00" + zlib.compress(bytes(range(256)) * 8),
    "nifti": struct.pack("<I", 348) + bytes(600),
    "zeros": bytes(600),
    "eights": b"\x08\x00" * 300,
    "tags out of order": b"".join(
        struct.pack("<HHI", 0x0008, tag, 2) + b"a " for tag in (0x60, 0x18, 0x16)
    )
    + bytes(300),
    "lengths beyond the end": struct.pack("<HHI", 0x0008, 0x0016, 2**20) + bytes(300),
    "AppleDouble": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(300),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_other_formats_are_not_dicom(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(STRANGERS[name])
    (outcome,) = read_all([path])
    assert isinstance(outcome, Unreadable)
    assert outcome.reason.startswith("not DICOM: ")


@given(st.binary(max_size=600))
def test_random_bytes_raise_nothing_and_are_rarely_a_data_set(content: bytes) -> None:
    opening = open_data_set(content, len(content))
    if content[128:132] == b"DICM":
        assert opening is not None
    else:
        assert opening is None or b"\x08\x00" in content or b"\x00\x08" in content


@given(st.text(min_size=200, max_size=400))
def test_text_is_not_dicom(text: str) -> None:
    assert open_data_set(text.encode(), len(text.encode())) is None or "\x08" in text


def test_file_with_a_valid_start_is_unchanged(write_dicom: WriteDicom) -> None:
    for syntax in ("explicit", "implicit", "rle"):
        content = write_dicom(syntax=syntax).read_bytes()
        assert open_data_set(content[:4096], len(content)) is AS_IT_IS


def test_bare_file_with_encapsulated_pixels_is_refused_with_the_reason(
    write_dicom: WriteDicom,
) -> None:
    path = write_dicom(syntax="rle")
    path.write_bytes(bare(path.read_bytes()))
    ((_, image),) = images_by_index([path])
    assert isinstance(image, Unreadable)
    assert "the pixels are encapsulated, but the file has no TransferSyntaxUID" in image.reason
    assert "Explicit VR" not in image.reason
