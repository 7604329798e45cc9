"""Native pixels are read for any VR, bits, byte order and transfer syntax."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from lsdc.dicom.headers import Format
from lsdc.dicom.native import native_values
from lsdc.dicom.pixels import read_with_pydicom
from lsdc.dicom.preflight import RefusedError, open_dicom
from lsdc.dicom.reader import Unreadable
from tests.dicom.conftest import WriteDicom
from tests.dicom.file_meta import replace_syntax
from tests.dicom.reading import images_by_index


def encoded(values: np.ndarray, *, big_endian: bool, in_words: bool) -> bytes:
    """Return values encoded as in PS3.5; big-endian words hold two single bytes swapped."""
    size = values.dtype.itemsize
    if size > 1:
        return values.astype(values.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    raw = values.tobytes() + bytes(values.size % 2)
    if big_endian and in_words:
        return b"".join(raw[at : at + 2][::-1] for at in range(0, len(raw), 2))
    return raw


def format_for(values: np.ndarray) -> Format:
    """Return the format of (frames, rows, columns)."""
    return Format(*[None] * len(Format._fields))._replace(
        rows=values.shape[1],
        columns=values.shape[2],
        bits_allocated=8 * values.dtype.itemsize,
        bits_stored=8 * values.dtype.itemsize,
        pixel_representation=int(values.dtype.kind == "i"),
    )


@st.composite
def stacks(draw: st.DrawFn) -> np.ndarray:
    """Draw (frames, rows, columns) of any size and type."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 5, 5))
    dtype = np.dtype(draw(st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4"])))
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)


@given(stacks(), st.booleans(), st.booleans())
def test_every_frame_is_read_as_it_was_encoded(
    values: np.ndarray, big_endian: bool, in_words: bool
) -> None:
    data = encoded(values, big_endian=big_endian, in_words=in_words)
    form = format_for(values)
    for number, planted in enumerate(values, start=1):
        read = native_values(data, form, big_endian=big_endian, in_words=in_words, frame=number)
        np.testing.assert_array_equal(read, planted)
    with pytest.raises(RefusedError, match="bytes of PixelData"):
        native_values(
            data[: values.nbytes - 1],
            form,
            big_endian=big_endian,
            in_words=False,
            frame=len(values),
        )


SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_both_readers_read_the_planted_pixels_in_every_encoding(write_dicom: WriteDicom) -> None:
    planted: dict[Path, np.ndarray] = {}
    types = ("u1", "i1", "u2", "i2", "u4", "i4")
    for syntax, vr, kind, columns in itertools.product(SYNTAXES, ("OB", "OW"), types, (16, 17)):
        values = np.random.default_rng(7).integers(0, 256, (13, columns, 4), dtype=np.uint8)
        values = values[..., : int(kind[1])].copy().view(kind)[..., 0]
        path = write_dicom(f"{syntax}-{vr}-{kind}-{columns}", values)
        dataset = dcmread(path)
        uid = dataset.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
        big_endian = syntax == "big"
        dataset.PixelData = encoded(values, big_endian=big_endian, in_words=vr == "OW")
        dataset["PixelData"].VR = vr
        dcmwrite(path, dataset, implicit_vr=uid.is_implicit_VR, little_endian=not big_endian)
        planted[path] = values
    paths = list(planted)
    for number, image in images_by_index(paths):
        assert not isinstance(image, Unreadable), f"{paths[number].name}: {image.reason}"
        expected = planted[paths[number]].astype(np.float32)
        np.testing.assert_array_equal(image, expected, err_msg=paths[number].name)
    for path, values in planted.items():
        with open_dicom(os.fsencode(path)) as file:
            read = read_with_pydicom(file)
        np.testing.assert_array_equal(read.stored, values, err_msg=path.name)
        np.testing.assert_array_equal(dcmread(path).pixel_array, values, err_msg=path.name)


COMPRESSED = {
    "RLE": RLELossless,
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


def test_native_pixels_are_read_despite_a_compressed_transfer_syntax(
    write_dicom: WriteDicom,
) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (24, 16), dtype=np.uint16)
    paths = []
    for name, syntax in COMPRESSED.items():
        path = write_dicom(name, values)
        replace_syntax(path, syntax)
        paths.append(path)
    for number, image in images_by_index(paths):
        assert not isinstance(image, Unreadable), f"{paths[number].name}: {image.reason}"
        np.testing.assert_array_equal(image, values.astype(np.float32))
    for path in paths:
        with open_dicom(os.fsencode(path)) as file:
            np.testing.assert_array_equal(read_with_pydicom(file).stored, values)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "syntax", "said"),
    [
        ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.70", "the pixels are JPEG 2000"),
        ("MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.90", "the pixels are JPEG-LS"),
        ("MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.5", "the pixels are JPEG-LS"),
        ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.1", "the pixels are JPEG 2000"),
        ("MR_small_RLE.dcm", "1.2.840.10008.1.2.1", "the pixels are encapsulated"),
    ],
)
def test_pixels_with_another_codec_than_the_header_says_are_refused(
    pydicom_files: list[Path], tmp_path: Path, name: str, syntax: str, said: str
) -> None:
    (source,) = [path for path in pydicom_files if path.name == name]
    path = tmp_path / name
    path.write_bytes(source.read_bytes())
    replace_syntax(path, syntax)
    ((_, image),) = images_by_index([path])
    assert isinstance(image, Unreadable)
    assert said in image.reason
    assert syntax in image.reason
    with open_dicom(os.fsencode(path)) as file, pytest.raises(RefusedError, match=said):
        read_with_pydicom(file)
