"""The index reports images that are not usable greyscale images, with helpful reasons."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from lsdc.dicom.reader import Unreadable
from lsdc.dicom.usable import refuse_syntax
from tests.dicom.conftest import WriteDicom
from tests.dicom.file_meta import replace_syntax
from tests.dicom.reading import images_by_index, read_rows

CLASS_NAME = re.compile(r"(Error|Exception)\b|__|\b_\w| in \w+_\w+")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_header_and_pixels_are_refused_with_the_same_reason(
    pydicom_files: list[Path],
) -> None:
    rows = read_rows(pydicom_files)
    refused = 0
    for number, image in images_by_index(pydicom_files):
        row = rows.row(number, named=True)
        said = row["reason"] or row["refusal"]
        if said is not None:
            assert isinstance(image, Unreadable), pydicom_files[number].name
            assert image.reason == said
            refused += row["refusal"] is not None
        if isinstance(image, Unreadable):
            assert not CLASS_NAME.search(image.reason), image.reason
    assert refused > 20


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "RGB, 3 samples per pixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR, 1 sample per pixel"),
        ({"PhotometricInterpretation": ""}, "no valid PhotometricInterpretation"),
        ({"SamplesPerPixel": 3}, "MONOCHROME2, 3 samples per pixel"),
        ({"Rows": 0}, "no usable Rows, Columns or BitsAllocated"),
        ({"BitsStored": 0}, "0 bits stored, expected 1 to 16"),
        ({"BitsStored": 17}, "17 bits stored, expected 1 to 16"),
        ({"BitsAllocated": 64, "BitsStored": 64}, "64 bits allocated, expected 1"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "12 bits allocated, expected 1"),
        ({"NumberOfFrames": 15}, "15 frames in one file of MR Image Storage"),
        ({"NumberOfFrames": 15}, "'dcuncat' of dicom3tools"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_422"}, "YBR_PARTIAL_422"),
    ],
)
def test_unusable_header_is_refused_with_the_reason(
    write_dicom: WriteDicom, tags: dict[str, Any], said: str
) -> None:
    (row,) = read_rows([write_dicom(**tags)]).iter_rows(named=True)
    assert row["reason"] is None
    assert said in row["refusal"]


def test_floating_point_pixels_are_refused(write_dicom: WriteDicom) -> None:
    path = write_dicom(pixels=np.zeros((24, 16), np.uint32))
    dataset = pydicom.dcmread(path)
    dataset.FloatPixelData = dataset.PixelData
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.save_as(path)
    (row,) = read_rows([path]).iter_rows(named=True)
    assert "FloatPixelData" in row["refusal"]


@pytest.mark.parametrize(
    "keyword", ["BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "SOPClassUID"]
)
def test_image_is_read_without_tags_that_are_not_needed(
    write_dicom: WriteDicom, keyword: str
) -> None:
    path = write_dicom()
    dataset = pydicom.dcmread(path)
    expected = dataset.pixel_array
    delattr(dataset, keyword)
    dataset.save_as(path)
    assert read_rows([path])["refusal"].to_list() == [None]
    ((_, image),) = images_by_index([path])
    assert isinstance(image, np.ndarray), image
    np.testing.assert_array_equal(image, expected)


def test_valid_header_is_not_refused(write_dicom: WriteDicom) -> None:
    rows = read_rows([write_dicom(syntax) for syntax in ("explicit", "implicit", "rle")])
    assert rows["refusal"].to_list() == [None] * 3


@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        ("1.2.840.10008.1.2.4.201", "install pylibjpeg>=2.0 and pylibjpeg-openjpeg>=2.0"),
        ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
        ("1.2.840.10008.1.2.4.102", "MPEG-4"),
        ("1.2.840.113619.5.2", "gdcmconv --raw"),
    ],
)
def test_undecodable_transfer_syntax_is_refused_with_a_remedy(
    write_dicom: WriteDicom, syntax: str, said: str
) -> None:
    path = write_dicom()
    replace_syntax(path, syntax)
    (row,) = read_rows([path]).iter_rows(named=True)
    assert said in row["refusal"]
    assert f"({syntax})" in row["refusal"]


def test_without_dicomsdl_syntaxes_that_pydicom_cannot_decode_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = "lsdc.dicom.usable.importlib.util.find_spec"
    lossless = "1.2.840.10008.1.2.4.70"
    refuse_syntax.cache_clear()
    monkeypatch.setattr(find, lambda name: object() if name == "dicomsdl" else None)
    assert refuse_syntax(lossless) is None
    refuse_syntax.cache_clear()
    monkeypatch.setattr(find, lambda _: None)
    said = refuse_syntax(lossless)
    assert said is not None
    assert "pylibjpeg-libjpeg" in said
    assert refuse_syntax("1.2.840.10008.1.2.5") is None  # RLE, by pydicom itself
    refuse_syntax.cache_clear()
