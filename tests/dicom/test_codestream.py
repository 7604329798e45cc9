"""Headers of codestreams agree with the headers of valid files."""

from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import get_frame

from lsdc.dicom.codestream import (
    JPEG,
    JPEG_2000,
    JPEG_LS,
    CodedImage,
    describe,
    family_in,
    family_of,
)

CODED = {
    "693_J2KI.dcm": CodedImage(JPEG_2000, 512, 512, 1, bits=16, signed=True),
    "J2K_pixelrep_mismatch.dcm": CodedImage(JPEG_2000, 512, 512, 1, bits=13, signed=False),
    "JPGExtended.dcm": CodedImage(JPEG, 1024, 256, 1, bits=12, signed=None),
    "SC_rgb_jpeg_dcmtk.dcm": CodedImage(JPEG, 100, 100, 3, bits=8, signed=None),
    "JPEGLSNearLossless_16.dcm": CodedImage(JPEG_LS, 50, 10, 1, bits=16, signed=None),
    "MR_small_RLE.dcm": None,
}


def coded(pydicom_files: list[Path], name: str) -> bytes:
    (path,) = [path for path in pydicom_files if path.name == name]
    return get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)


@pytest.mark.parametrize("name", CODED)
def test_size_and_codec_are_read_from_the_codestream(pydicom_files: list[Path], name: str) -> None:
    assert describe(coded(pydicom_files, name)) == CODED[name]


@pytest.mark.parametrize("name", CODED)
def test_codec_family_matches_the_transfer_syntax(pydicom_files: list[Path], name: str) -> None:
    (path,) = [path for path in pydicom_files if path.name == name]
    syntax = pydicom.dcmread(path).file_meta.TransferSyntaxUID
    assert family_in(coded(pydicom_files, name)) == family_of(syntax)


@pytest.mark.parametrize("name", CODED)
def test_truncated_codestream_is_never_misread(pydicom_files: list[Path], name: str) -> None:
    whole = coded(pydicom_files, name)
    for length in range(0, 200):
        assert describe(whole[:length]) in (None, CODED[name])
