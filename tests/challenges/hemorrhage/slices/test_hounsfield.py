from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from lsdc.challenges.hemorrhage.slices.hounsfield import (
    LOWEST_HU,
    WRAPPED,
    brain_share,
    mend,
    refuse,
)
from lsdc.dicom.image import Image
from lsdc.dicom.reader import read_pixels
from tests.challenges.hemorrhage.slices.made_slices import write_slice

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
}
# The dtype, BitsStored, smallest and largest stored value, and rescaling of files.
KINDS: dict[str, tuple[type, int, int, int, dict[str, str]]] = {
    "12 unsigned": (np.uint16, 12, 0, 4095, {}),
    "12 signed": (np.int16, 12, -2048, 2047, {"RescaleIntercept": "-1024.000000"}),
    "16 signed": (np.int16, 16, -32768, 32767, {"RescaleIntercept": "-1000"}),
    "16 unsigned": (np.uint16, 16, 0, 65535, {"RescaleSlope": "1.000000"}),
    "above zero": (np.int16, 16, -32768, 32767, {"RescaleIntercept": "1"}),
    "8 unsigned": (np.uint8, 8, 0, 255, {"RescaleIntercept": "-100.5"}),
    "fractions": (np.uint16, 16, 0, 65535, {"RescaleSlope": "0.0625"}),
    "32 signed": (np.int32, 32, -70000, 70000, {"RescaleIntercept": "-1024"}),
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_hu_equal_those_of_pydicom(syntax: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    paths = []
    for kind, (dtype, bits, low, high, tags) in KINDS.items():
        if bits == 32 and syntax == "rle":  # not allowed (PS3.5 8.2.2)
            continue
        stored = random.integers(low, high, (33, 47), dtype, endpoint=True)
        stored[0, :2] = low, high
        path = tmp_path / f"{kind}.dcm"
        paths.append(write_slice(path, stored, bits=bits, syntax=SYNTAXES[syntax], **tags))
    images = [image for _, image in read_pixels([str(path) for path in paths])]
    for path, image in zip(paths, images, strict=True):
        assert isinstance(image, Image), (path.stem, image)
        dataset = pydicom.dcmread(path)
        expected = apply_modality_lut(dataset.pixel_array, dataset)
        mended, correction = mend(image, dataset.BitsStored)
        assert correction is None
        np.testing.assert_array_equal(mended.rescaled(), np.maximum(expected, LOWEST_HU))


@pytest.mark.parametrize("intercept", [0.0, 1.0])
def test_every_value_of_12_bits_survives_a_lost_sign(intercept: float) -> None:
    hu = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    wrapped = Image((hu % 4096).astype(np.uint16), 1.0, intercept)
    mended, correction = mend(wrapped, 12)
    assert correction == WRAPPED
    np.testing.assert_array_equal(mended.rescaled(), np.maximum(hu + intercept, LOWEST_HU))


@pytest.mark.parametrize(
    ("bits", "dtype", "slope", "intercept", "largest"),
    [
        (16, np.uint16, 1.0, 0.0, 4095),
        (12, np.int16, 1.0, 0.0, 2047),
        (12, np.uint16, 1.0, -1000.0, 4095),
        (12, np.uint16, 1.0, 0.0, 2047),
        (12, np.uint16, -1.0, 3071.0, 4095),
        (None, np.uint16, 1.0, 0.0, 4095),
    ],
)
def test_other_files_are_left_alone(
    bits: int | None, dtype: Any, slope: float, intercept: float, largest: int
) -> None:
    image = Image(np.array([[0, largest]], dtype), slope, intercept)
    mended, correction = mend(image, bits)
    assert (mended.stored.tolist(), correction) == ([[0, largest]], None)


def test_outside_the_field_of_view_is_the_lowest_value_of_12_bits() -> None:
    of_16_bits = Image(np.array([[-2000, 24, 1064]], np.int16), 1.0, -1024.0)
    of_12_bits = Image(np.array([[0, 24, 1064]], np.uint16), 1.0, -1024.0)
    inverted = Image(np.array([[2000, -24, -1064]], np.int16), -1.0, -1024.0)
    for image in (of_16_bits, of_12_bits, inverted):
        mended, _ = mend(image, 16)
        assert mended.rescaled().tolist() == [[-1024, -1000, 40]]


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [(np.int16, 1.0, 0.0), (np.uint16, 1.0, -1024.0), (np.int32, 0.5, 7.0), (np.int16, -1.0, 0.0)],
)
def test_content_is_the_share_of_all_pixels_with_0_to_80_hu(
    dtype: Any, slope: float, intercept: float
) -> None:
    hu = np.full((10, 10), -1024)
    hu[:4, :5] = [-1, 0, 40, 80, 81]
    stored = ((hu - intercept) / slope).astype(dtype)
    assert brain_share(Image(stored, slope, intercept)) == 0.12
    for far in (-90_000.0, 90_000.0):
        assert brain_share(Image(stored, slope, far)) == 0


def test_a_scale_that_cannot_be_hu_is_refused() -> None:
    stored = np.zeros((2, 2), np.int16)
    assert refuse(Image(stored, 1.0, -1024.0)) is None
    assert refuse(Image(stored, -0.25, 1.0)) is None
    for slope, intercept in ((1e-300, 0.0), (1e300, 0.0), (1.0, -1e30)):
        assert "RescaleSlope" in str(refuse(Image(stored, slope, intercept)))
