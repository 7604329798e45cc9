"""Headers: what is on the allow-list comes through, and nothing else; two readers, one answer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.errors import InvalidDicomError

from lsdc.dicom.gate import RefusedError, open_dicom
from lsdc.dicom.headers import Header, read_with_pydicom
from lsdc.dicom.reader import Unreadable, read_headers

WriteDicom = Callable[..., Path]


def both(path: Path) -> list[Header]:
    """The header by dicomsdl (in a child) and by pydicom."""
    (by_dicomsdl,) = read_headers([path])
    assert isinstance(by_dicomsdl, Header)
    with open_dicom(os.fsencode(path)) as file:
        return [by_dicomsdl, read_with_pydicom(file)]


def overwrite(path: Path, old: bytes, new: bytes) -> Path:
    """Garble a value in place, as no writer would let us."""
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def test_every_listed_tag_is_read(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        syntax="rle",
        SpacingBetweenSlices=4.4,
        SliceThickness=4,
        RescaleSlope=2,
        RescaleIntercept=-5,
    )
    for header in both(path):
        assert header == Header(
            rows=24,
            columns=16,
            pixel_spacing=(0.75, 0.5),
            image_position=(-10.5, 20.25, 30.0),
            image_orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            instance_number=7,
            spacing_between_slices=4.4,
            slice_thickness=4.0,
            patient_position="HFS",
            transfer_syntax="1.2.840.10008.1.2.5",
            sop_class="1.2.840.10008.5.1.4.1.1.4",
            photometric="MONOCHROME2",
            samples_per_pixel=1,
            number_of_frames=None,
            bits_allocated=16,
            bits_stored=16,
            high_bit=15,
            pixel_representation=0,
            rescale_intercept=-5.0,
            rescale_slope=2.0,
        )


def test_empty_numbers_are_missing_and_not_zero(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        PixelSpacing=None,
        ImagePositionPatient=None,
        InstanceNumber=None,
        RescaleIntercept=None,
        RescaleSlope=None,
    )
    for header in both(path):
        assert header.pixel_spacing is None
        assert header.image_position is None
        assert header.instance_number is None
        assert header.rescale_intercept is None
        assert header.rescale_slope is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_garbled_numbers_are_missing_and_not_zero(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        PixelSpacing=[0.71, 0.72], ImagePositionPatient=[1.25, 2.25, 3.25], InstanceNumber=1234
    )
    overwrite(path, b"0.71\\", b"zero\\")
    overwrite(path, b"1.25\\2.25", b"1.25\\wide")
    overwrite(path, b"1234", b"123A")
    for header in both(path):
        assert header.instance_number is None
        assert header.pixel_spacing is None
        assert header.image_position is None


def test_zeros_that_are_meant_are_kept(write_dicom: WriteDicom) -> None:
    path = write_dicom(ImagePositionPatient=[0, 0, 0], RescaleIntercept=0, InstanceNumber=0)
    for header in both(path):
        assert header.image_position == (0.0, 0.0, 0.0)
        assert header.rescale_intercept == 0.0
        assert header.instance_number == 0


@pytest.mark.parametrize(
    ("tag", "value", "field"),
    [
        ("PixelSpacing", [0, 0.5], "pixel_spacing"),
        ("ImagePositionPatient", [1, 2], "image_position"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "image_orientation"),
        ("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0], "image_orientation"),
    ],
)
def test_what_geometry_cannot_use_is_missing(
    write_dicom: WriteDicom, tag: str, value: list[float], field: str
) -> None:
    for header in both(write_dicom(**{tag: value})):
        assert getattr(header, field) is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_only_words_that_dicom_defines_come_through(write_dicom: WriteDicom) -> None:
    path = write_dicom(PatientPosition="HFS", PhotometricInterpretation="MONOCHROME2")
    overwrite(path, b"HFS ", b"DOE ")
    overwrite(path, b"MONOCHROME2", b"DOE^JANE   ")
    overwrite(
        path, b"1.2.840.10008.5.1.4.1.1.4\0\x08\x00\x18", b"DOE^MARY                 \0\x08\x00\x18"
    )
    for header in both(path):
        assert header.patient_position is None
        assert header.photometric is None
        assert header.sop_class is None
        assert "DOE" not in repr(header)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_both_readers_agree_on_pydicoms_own_files(pydicom_files: list[Path]) -> None:
    read = 0
    for path, by_dicomsdl in zip(pydicom_files, read_headers(pydicom_files), strict=True):
        try:
            with open_dicom(os.fsencode(path)) as file:
                by_pydicom = read_with_pydicom(file)
        except (RefusedError, InvalidDicomError):
            assert isinstance(by_dicomsdl, Unreadable)
        else:
            assert by_dicomsdl == by_pydicom, path.name
            read += 1
    assert read > 60


def test_a_real_study_is_read_alike_by_both(real_files: list[Path]) -> None:
    for path, by_dicomsdl in zip(real_files, read_headers(real_files), strict=True):
        with open_dicom(os.fsencode(path)) as file:
            assert by_dicomsdl == read_with_pydicom(file)
        assert isinstance(by_dicomsdl, Header)
        assert by_dicomsdl.image_position is not None
