"""Headers of CT: rescale, windows, made-up ids, and a patient that is told apart but not named."""

import hashlib
import os
from pathlib import Path

import pytest

from lsdc.dicom.headers import Header
from lsdc.dicom.preflight import START_BYTES
from lsdc.dicom.terms import checksum
from tests.dicom.conftest import WriteDicom
from tests.dicom.reading import by_pydicom, read_all
from tests.dicom.test_headers import both, from_whole_file, overwrite, private_element

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

IDS = {
    "SOPInstanceUID": "ID_000a50137",
    "PatientID": "ID_d1217a66",
    "StudyInstanceUID": "ID_d7fd39e49b",
    "SeriesInstanceUID": "ID_bf6f6d5d34",
}
SCALE = {
    "RescaleIntercept": "-1024.000000",
    "RescaleSlope": "1",
    "WindowCenter": ["00036", "00036"],
    "WindowWidth": "00080",
}


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "rle"])
def test_every_value_of_ct_is_read(write_dicom: WriteDicom, syntax: str) -> None:
    path = write_dicom(syntax=syntax, Modality="CT", **IDS, **SCALE)
    for header in [*both(path), from_whole_file(path)]:
        form = header.format
        assert form.modality == "CT"
        assert (form.rescale_intercept, form.rescale_slope) == (-1024.0, 1.0)
        assert (form.window_centers, form.window_widths) == ((36.0, 36.0), (80.0,))
        assert (form.study_name, form.series_name) == ("ID_d7fd39e49b", "ID_bf6f6d5d34")
        assert form.patient == hashlib.blake2b(b"ID_d1217a66", digest_size=8).hexdigest()
        assert header.instance_checksum == checksum(b"ID_000a50137")
        assert form.study_id not in (None, form.series_id)


def test_rescale_windows_and_patient_are_read_from_ct_alone(write_dicom: WriteDicom) -> None:
    for header in both(write_dicom(Modality="MR", **IDS, **SCALE)):
        assert header.format.modality == "MR"
        assert header.format[-5:] == (None,) * 5
        assert header.format.patient is None
        assert header.instance_checksum is None


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_long_header_of_ct_is_read_to_its_rescale(write_dicom: WriteDicom, syntax: str) -> None:
    path = write_dicom(syntax=syntax, Modality="CT", **IDS, **SCALE)
    plain = by_pydicom(path)
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x02\x00")
    longer = []
    for length in [*range(START_BYTES - 900, START_BYTES, 12), 5 * START_BYTES]:
        filler = private_element(length, implicit=syntax == "implicit")
        longer.append(path.with_name(f"{length}.dcm"))
        longer[-1].write_bytes(content[:at] + filler + content[at:])
    assert read_all(longer) == [plain] * len(longer)
    assert list(map(from_whole_file, longer[::9])) == [plain] * len(longer[::9])


@pytest.mark.parametrize("missing", list(SCALE))
def test_missing_value_of_ct_is_missing(write_dicom: WriteDicom, missing: str) -> None:
    rest = {name: value for name, value in SCALE.items() if name != missing}
    path = write_dicom(Modality="CT", **rest)
    first, second = both(path)
    assert first == second
    scale = first.format[-5:-1]
    assert [name for name, value in zip(SCALE, scale, strict=True) if value is None] == [missing]


def test_garbled_windows_are_missing(write_dicom: WriteDicom) -> None:
    path = overwrite(write_dicom(Modality="CT", **SCALE), b"00036\\00036", b"00036\\JANE ")
    for header in both(path):
        assert header.format.window_centers is None
        assert header.format.window_widths == (80.0,)


@pytest.mark.parametrize("name", ["DOE^JANE", "ID_19640812", "ID_DOE^JANE", "ID_0a1b2c3d4 JANE"])
def test_text_that_is_no_made_up_id_does_not_pass(write_dicom: WriteDicom, name: str) -> None:
    path = write_dicom(**dict.fromkeys(IDS, name), Modality="CT", StudyID=name, PatientName=name)
    for header in both(path):
        assert (header.format.study_name, header.format.series_name) == (None, None)
        assert header.format.patient == hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        assert name not in repr(header)


def test_modality_passes_only_as_a_defined_term(write_dicom: WriteDicom) -> None:
    for header in both(write_dicom(Modality="JANE")):
        assert header.format.modality is None


def test_patients_are_told_apart(write_dicom: WriteDicom) -> None:
    names = {"first": "4711", "padded": " 4711 ", "other": "4712", "empty": ""}
    paths = [write_dicom(file, Modality="CT", PatientID=patient) for file, patient in names.items()]
    for reads in (read_all(paths), map(by_pydicom, paths)):
        patients = [each.format.patient for each in reads if isinstance(each, Header)]
        assert patients[0] == patients[1] != patients[2]
        assert patients[3] is None


def test_both_readers_agree_on_real_head_ct(real_data: Path) -> None:
    folder = real_data / "hemorrhage"
    paths = sorted(folder.glob("stage_2_*_images/*.dcm"))[::6]
    assert len(paths) > 50
    for path, read in zip(paths, read_all(paths), strict=True):
        assert read == by_pydicom(path)
        assert isinstance(read, Header)
        assert read.instance_checksum == checksum(os.fsencode(path.stem))
        assert None not in read.format[-5:-1]
