"""Headers: only tags of the allow-list are read, and both readers give the same result."""

import os
import struct
from pathlib import Path

import pytest
from pydicom.errors import InvalidDicomError

from lsdc.dicom.headers import Header, read_with_dicomsdl
from lsdc.dicom.preflight import START_BYTES, RefusedError, open_dicom
from lsdc.dicom.reader import Unreadable
from tests.dicom.conftest import WriteDicom
from tests.dicom.reading import AXIAL, by_pydicom, read_all

_FIRST_OF_GROUP_28 = b"\x28\x00\x02\x00"  # (0028,0002), SamplesPerPixel


def both(path: Path) -> list[Header]:
    """Return the header by dicomsdl (in a child) and by pydicom."""
    (by_dicomsdl,) = read_all([path])
    assert isinstance(by_dicomsdl, Header)
    return [by_dicomsdl, by_pydicom(path)]


def from_whole_file(path: Path) -> Header:
    """Return the header by dicomsdl, read from the whole file; only for valid files."""
    pytest.importorskip("dicomsdl")
    with open_dicom(os.fsencode(path)) as file:
        file.start = b""
        return read_with_dicomsdl(file)


def overwrite(path: Path, old: bytes, new: bytes) -> Path:
    """Overwrite a value in place with an invalid one, which no writer would write."""
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_tag_of_the_allow_list_is_read(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        syntax="rle",
        StudyInstanceUID="100206310",
        SeriesInstanceUID="100206310.42",
        EchoTime="102.5",
        RepetitionTime="3500",
        ImageType=["ORIGINAL", "PRIMARY", "DOE^JANE"],
    )
    for header in both(path):
        assert header == Header(
            format=AXIAL,
            instance_number=7,
            image_position=(-10.5, 20.25, 30.0),
        )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (["DERIVED", "SECONDARY", "MPR"], "derived"),
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        (["DERIVED", "SECONDARY", "SCOUT"], "localizer"),
        (["DOE", "JANE"], None),
        ("", None),
    ],
)
def test_image_type_passes_as_one_of_three_words(
    write_dicom: WriteDicom, words: list[str] | str, meaning: str | None
) -> None:
    for header in both(write_dicom(ImageType=words)):
        assert header.format.image_type == meaning
        assert "JANE" not in repr(header)


def test_uid_is_replaced_by_a_number_that_does_not_reveal_it(write_dicom: WriteDicom) -> None:
    uid = "1.2.840.113619.2.404.3.1074448704.467.1586262126.789"
    first, again, other = (
        write_dicom(name, StudyInstanceUID=uid + end, SeriesInstanceUID=uid + end + ".1")
        for name, end in [("first", ""), ("again", ""), ("other", "0")]
    )
    for one, two, three in zip(*map(both, (first, again, other)), strict=True):
        assert one.format.study_id == two.format.study_id != three.format.study_id
        assert one.format.series_id == two.format.series_id != three.format.series_id
        assert one.format.study_id is not None
        assert 10**10 < one.format.study_id < 2**63
        assert not any(part in repr(one) for part in ("113619", "1074448704", "1586262126"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("text", [b"DOE^JANE", b"1.2.3 DOE ", b"1" * 66, b"JANE".ljust(40)])
def test_invalid_uid_gives_no_identifier(write_dicom: WriteDicom, text: bytes) -> None:
    valid = b"9" * len(text)
    for header in both(overwrite(write_dicom(StudyInstanceUID=valid.decode()), valid, text)):
        assert header.format.study_id is None


def test_empty_numbers_are_missing_and_not_zero(write_dicom: WriteDicom) -> None:
    path = write_dicom(PixelSpacing=None, ImagePositionPatient=None, InstanceNumber=None)
    for header in both(path):
        assert header.format.pixel_spacing is None
        assert header.image_position is None
        assert header.instance_number is None


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
        assert header.format.pixel_spacing is None
        assert header.image_position is None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("tag", "old", "new"),
    [
        ("ImageOrientationPatient", b"1.0\\0.0\\0.0", b"1.0\\X.0\\0.0"),
        ("ImageOrientationPatient", b"1.0\\0.0\\0.0", b"1.0\\   \\0.0"),
        ("ImageOrientationPatient", b"1.0\\0.0\\0.0", b"1.0\\0.0\\0.O"),
        ("PixelSpacing", b"0.75\\0.5", b"0.7A\\0.5"),
        ("PixelSpacing", b"0.75\\0.5", b"0,75\\0.5"),
        ("PixelSpacing", b"0.75\\0.5", b"0.75\\5_0"),
    ],
)
def test_partly_garbled_directions_and_spacings_are_missing_in_both_readers(
    write_dicom: WriteDicom, tag: str, old: bytes, new: bytes
) -> None:
    for header in both(overwrite(write_dicom(), old, new)):
        field = "image_orientation" if "Orientation" in tag else "pixel_spacing"
        assert getattr(header.format, field) is None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "text", [b"1_00", b"-9e9", b"1.50", b"0x10", b"9e99", b" inf", b" nan", b"7\\8 "]
)
def test_instance_number_that_is_not_an_integer_is_missing(
    write_dicom: WriteDicom, text: bytes
) -> None:
    for header in both(overwrite(write_dicom(InstanceNumber=1234), b"1234", text)):
        assert header.instance_number is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0000000012", 12),
        (b"000000000012", 12),
        (b"2000000001", 2_000_000_001),
        (b"2147483647", 2**31 - 1),
        (b" +7 ", 7),
        (b"-3", -3),
    ],
)
def test_every_valid_integer_string_is_read(
    write_dicom: WriteDicom, text: bytes, number: int
) -> None:
    digits = b"1" * len(text)
    for header in both(overwrite(write_dicom(InstanceNumber=int(digits)), digits, text)):
        assert header.instance_number == number


def test_stored_zeros_are_kept(write_dicom: WriteDicom) -> None:
    path = write_dicom(ImagePositionPatient=[0, 0, 0], InstanceNumber=0)
    for header in both(path):
        assert header.image_position == (0.0, 0.0, 0.0)
        assert header.instance_number == 0


@pytest.mark.parametrize("value", [[1, 2], [1, 2, 3, 4]])
def test_position_without_three_numbers_is_missing(
    write_dicom: WriteDicom, value: list[float]
) -> None:
    for header in both(write_dicom(ImagePositionPatient=value)):
        assert header.image_position is None


@pytest.mark.parametrize(
    ("tag", "value", "field"),
    [
        ("PixelSpacing", [0, 0.5], "pixel_spacing"),
        ("PixelSpacing", [-1, 0.5], "pixel_spacing"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "image_orientation"),
        ("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0], "image_orientation"),
    ],
)
def test_unusable_spacing_or_orientation_is_missing(
    write_dicom: WriteDicom, tag: str, value: list[float], field: str
) -> None:
    for header in both(write_dicom(**{tag: value})):
        assert getattr(header.format, field) is None


def test_missing_sop_class_is_taken_from_the_file_meta(
    write_dicom: WriteDicom,
) -> None:
    path = write_dicom()
    content = path.read_bytes()
    at = content.index(b"\x08\x00\x16\x00UI")
    length = 8 + struct.unpack_from("<H", content, at + 6)[0]
    path.write_bytes(content[:at] + content[at + length :])
    for header in both(path):
        assert header.format.sop_class == "1.2.840.10008.5.1.4.1.1.4"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("text", [b"DOE^JANE", b"1.2.3.4.5.6"])
def test_sop_class_not_defined_by_dicom_is_missing(write_dicom: WriteDicom, text: bytes) -> None:
    path = write_dicom()
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.4", text.ljust(25, b"\0")))
    for header in both(path):
        assert header.format.sop_class is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_only_defined_terms_of_dicom_are_read(write_dicom: WriteDicom) -> None:
    path = write_dicom(PatientPosition="HFS", PhotometricInterpretation="MONOCHROME2")
    overwrite(path, b"HFS ", b"DOE ")
    overwrite(path, b"MONOCHROME2", b"DOE^JANE   ")
    for header in both(path):
        assert header.format.patient_position is None
        assert header.format.photometric is None
        assert "DOE" not in repr(header)


# Elements before the pixels, up to more than the first block that is read.
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "rle"])
@pytest.mark.parametrize(
    "length", [START_BYTES - 1000, *range(START_BYTES - 620, START_BYTES, 90), 5 * START_BYTES]
)
def test_long_header_is_the_same_from_the_start_and_from_the_whole_file(
    write_dicom: WriteDicom, syntax: str, length: int
) -> None:
    path = write_dicom(syntax=syntax, StudyInstanceUID="1.2.3.4", NumberOfFrames=1)
    plain = by_pydicom(path)
    content = path.read_bytes()
    at = content.index(_FIRST_OF_GROUP_28)
    filler = private_element(length - length % 2, implicit=syntax == "implicit")
    path.write_bytes(content[:at] + filler + content[at:])
    assert [*both(path), from_whole_file(path)] == [plain] * 3


def test_header_that_seems_to_end_in_the_first_block_is_read_completely(
    write_dicom: WriteDicom,
) -> None:
    path = write_dicom()
    plain = by_pydicom(path)
    content = path.read_bytes()
    at = content.index(_FIRST_OF_GROUP_28)
    # A private value with the bytes of a PixelRepresentation and of another Rows.
    decoy = b"\x28\x00\x10\x00US\x02\x00\x01\x00" + b"\x28\x00\x03\x01US\x02\x00\x01\x00"
    path.write_bytes(content[:at] + private_element(9000, start=decoy) + content[at:])
    assert both(path) == [plain] * 2


def private_element(length: int, *, start: bytes = b"", implicit: bool = False) -> bytes:
    """Return (0021,1010), a private element with a value of `length` bytes."""
    tag = struct.pack("<HH", 0x21, 0x1010) + (b"" if implicit else b"UN\0\0")
    return tag + struct.pack("<I", length) + start.ljust(length, b"p")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_both_readers_agree_on_the_files_of_pydicom(pydicom_files: list[Path]) -> None:
    read = 0
    for path, by_dicomsdl in zip(pydicom_files, read_all(pydicom_files), strict=True):
        try:
            header = by_pydicom(path)
        except (RefusedError, InvalidDicomError):
            assert isinstance(by_dicomsdl, Unreadable)
        else:
            assert by_dicomsdl == header, path.name
            read += 1
    assert read > 60


def test_both_readers_agree_on_a_real_study(real_files: list[Path]) -> None:
    for path, by_dicomsdl in zip(real_files, read_all(real_files), strict=True):
        assert by_dicomsdl == by_pydicom(path)
        assert isinstance(by_dicomsdl, Header)
        assert by_dicomsdl.image_position is not None
        with open_dicom(os.fsencode(path)) as file:
            assert (by_dicomsdl.format.rows or 0) > 0
            assert file.size_bytes == path.stat().st_size
