"""Pixels equal the rescaled ones of pydicom for any syntax; MONOCHROME1 is inverted."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale

from lsdc.dicom.reader import Unreadable
from tests.dicom.conftest import WriteDicom
from tests.dicom.reading import images_by_index

OF_ONE_FRAGMENT = (
    *("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"),
)


def images_of(paths: list[Path]) -> list[np.ndarray]:
    """Return the images of files that must be readable."""
    images = []
    for _, image in images_by_index(paths):
        assert not isinstance(image, Unreadable), image.reason
        images.append(image)
    return images


def by_pydicom(path: Path) -> np.ndarray | None:
    """Return pydicom's rescaled image; None without a single greyscale image or a decoder."""
    try:
        dataset = pydicom.dcmread(path)
        if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
            return None
        image = apply_rescale(dataset.pixel_array, dataset).astype(np.float32)
    except Exception:  # noqa: BLE001  # a test file may be broken in any way
        return None
    return image if image.ndim == 2 else None


@pytest.fixture(scope="module")
def images_of_pydicom(pydicom_files: list[Path]) -> dict[Path, np.ndarray | Unreadable]:
    """Return the outcome of each pydicom file; read once, as a pydicom child starts slowly."""
    return {pydicom_files[number]: image for number, image in images_by_index(pydicom_files)}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pixels_of_greyscale_files_equal_those_of_pydicom(
    images_of_pydicom: dict[Path, np.ndarray | Unreadable],
) -> None:
    compared = 0
    for path, image in images_of_pydicom.items():
        expected = by_pydicom(path)
        if expected is not None:
            assert not isinstance(image, Unreadable), f"{path.name}: {image.reason}"
            assert image.dtype == np.float32
            np.testing.assert_array_equal(image, expected, err_msg=path.name)
            compared += 1
    assert compared >= 20


def test_twelve_bit_jpeg_is_read_although_pydicom_cannot_decode_it(
    images_of_pydicom: dict[Path, np.ndarray | Unreadable],
) -> None:
    (image,) = [i for path, i in images_of_pydicom.items() if path.name == "JPGExtended.dcm"]
    assert isinstance(image, np.ndarray)
    assert image.shape == (1024, 256)
    assert 0 <= image.min() < image.max() <= 4095


def test_file_without_a_single_greyscale_image_is_unreadable(
    images_of_pydicom: dict[Path, np.ndarray | Unreadable],
) -> None:
    expected = {
        "rtplan.dcm": "no usable Rows",
        "SC_rgb_rle.dcm": "RGB",
        "examples_palette.dcm": "PALETTE COLOR",
        "rtdose_rle.dcm": "15 frames",
        "MR_truncated.dcm": "8130 bytes of PixelData, expected 8192",
    }
    reasons = {
        path.name: image.reason
        for path, image in images_of_pydicom.items()
        if isinstance(image, Unreadable)
    }
    for name, said in expected.items():
        assert said in reasons[name]


def test_compressed_and_native_files_give_the_same_image(write_dicom: WriteDicom) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (33, 17), dtype=np.uint16)
    paths = [
        write_dicom(syntax, pixels, syntax=syntax) for syntax in ("explicit", "implicit", "rle")
    ]
    for image in images_of(paths):
        np.testing.assert_array_equal(image, pixels.astype(np.float32))


def test_kept_images_and_views_of_them_never_change(
    write_dicom: WriteDicom,
) -> None:
    """Shared memory is reused only when no view of an image is left."""
    paths = [write_dicom(f"{n}", np.full((24, 16), n, dtype=np.uint16)) for n in range(40)] * 20
    parts, whole = [], []
    for number, image in images_by_index(paths):
        assert isinstance(image, np.ndarray)
        if number % 3 == 0:
            whole.append((number, image))
        elif number % 3 == 1:
            parts.append((number, image[::2, 1:].T[2:]))
    for number, kept in [*whole, *parts]:
        assert (kept == number % 40).all(), number
    assert len(parts) > 200


def test_writing_to_an_image_affects_no_other_image(write_dicom: WriteDicom) -> None:
    path = write_dicom()
    for _, image in images_by_index([path] * 300):
        assert isinstance(image, np.ndarray)
        assert image[0, 1] == 1
        image[:] = -1


def test_images_too_large_for_shared_memory_are_read(write_dicom: WriteDicom) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (900, 800), dtype=np.uint16)
    paths = [write_dicom("large", pixels), write_dicom("small")] * 10
    images = images_of(paths)
    for image in images[::2]:
        np.testing.assert_array_equal(image, pixels.astype(np.float32))
    assert {image.shape for image in images[1::2]} == {(24, 16)}


def test_signed_values_are_rescaled(write_dicom: WriteDicom) -> None:
    pixels = np.array([[-1024, -1], [0, 3071]], dtype=np.int16)
    path = write_dicom("ct", np.tile(pixels, (8, 8)), RescaleSlope=0.5, RescaleIntercept=100)
    np.testing.assert_array_equal(images_of([path])[0][:2, :2], pixels * 0.5 + 100)


def test_monochrome1_is_inverted_within_bits_stored(write_dicom: WriteDicom) -> None:
    unsigned = np.tile(np.array([[0, 1], [4094, 4095]], dtype=np.uint16), (8, 8))
    signed = np.tile(np.array([[-2048, -1], [0, 2047]], dtype=np.int16), (8, 8))
    twelve_bits = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    paths = [
        write_dicom("unsigned", unsigned, **twelve_bits),
        write_dicom("signed", signed, **twelve_bits),
        write_dicom("rescaled", unsigned, **twelve_bits, RescaleSlope=2, RescaleIntercept=10),
    ]
    images = images_of(paths)
    np.testing.assert_array_equal(images[0], 4095.0 - unsigned)
    np.testing.assert_array_equal(images[1], -1.0 - signed)
    np.testing.assert_array_equal(images[2], (4095.0 - unsigned) * 2 + 10)


def test_bits_beyond_bits_stored_are_ignored(write_dicom: WriteDicom) -> None:
    values = np.tile(np.array([[5, 4095]], dtype=np.uint16), (16, 8))
    negative = np.tile(np.array([[-5, 7]], dtype=np.int16), (16, 8))
    paths = [
        write_dicom("overlay", values | 0x3000, BitsStored=12, HighBit=11),
        write_dicom("high", values << 4 | 0x3, BitsStored=12, HighBit=15),
        write_dicom("signed", negative & 0xFFF, BitsStored=12, HighBit=11),
    ]
    overlay, high, signed = images_of(paths)
    np.testing.assert_array_equal(overlay, values)
    np.testing.assert_array_equal(high, values)
    np.testing.assert_array_equal(signed, negative)


def test_pixels_of_a_real_study_equal_those_of_pydicom(real_files: list[Path]) -> None:
    for path, image in zip(real_files, images_of(real_files), strict=True):
        np.testing.assert_array_equal(image, pydicom.dcmread(path).pixel_array)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_encapsulated_pixels_of_defined_length_are_decoded(
    write_dicom: WriteDicom, pydicom_files: list[Path], tmp_path: Path
) -> None:
    coded = [path for path in pydicom_files if path.name in OF_ONE_FRAGMENT]
    assert len(coded) == len(OF_ONE_FRAGMENT)
    coded.append(write_dicom(syntax="rle"))
    copies = []
    for number, path in enumerate(coded):
        before, vr, items = re.split(
            rb"\xe0\x7f\x10\x00(O[BW])\0\0\xff{4}", path.read_bytes(), maxsplit=1
        )
        items, end, rest = items.partition(b"\xfe\xff\xdd\xe0\0\0\0\0")
        items += end * (number % 2)  # some writers count the end marker
        length = len(items).to_bytes(4, "little")
        copies.append(tmp_path / f"{number}.dcm")
        copies[-1].write_bytes(before + b"\xe0\x7f\x10\x00" + vr + b"\0\0" + length + items + rest)
    images = images_of([*coded, *copies])
    for path, expected, image in zip(coded, images, images[len(coded) :], strict=False):
        np.testing.assert_array_equal(image, expected, err_msg=path.name)
