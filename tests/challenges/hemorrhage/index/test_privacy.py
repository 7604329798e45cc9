"""Privacy: no table, cache, log or report of this challenge names a patient."""

import json
import logging
from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.quality.doctor import examine
from tests.challenges.hemorrhage.ct_files import made_up, write_ct
from tests.challenges.hemorrhage.index.indexing import index_of
from tests.leaks import find_leaks

NAME, PATIENT_ID, BIRTH_DATE = "MUSTERFRAU^ERIKA", "PATID-7731-X", "19640812"
UID = f"1.2.276.0.76.3.1.{BIRTH_DATE}.7731.4"
SECRETS = ["MUSTERFRAU", "ERIKA", "7731-X", BIRTH_DATE, UID]
# Every element that this challenge reads, and others that name a patient.
NO_NUMBERS = [
    *("PatientID", "PatientName", "StudyID", "AccessionNumber", "OtherPatientIDs"),
    *("InstitutionName", "ReferringPhysicianName", "StudyDescription", "PatientComments"),
    *("SOPInstanceUID", "Modality", "PhotometricInterpretation"),
]
TEXTS = [
    *NO_NUMBERS,
    *("StudyInstanceUID", "SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
]


def plant(path: Path, keyword: str, value: str) -> None:
    """Write a value into a file in place of a mark, as no writer would write it for a number."""
    content = path.read_bytes()
    mark = b"1." + b"7" * (len(value) - 2)
    assert content.count(mark) == 1, keyword
    path.write_bytes(content.replace(mark, value.encode()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of images, each of which names the patient in one of the elements."""
    root = tmp_path / "competition"
    folder = root / "stage_2_train_images"
    for keyword in TEXTS:
        # Where a number is expected, any number passes, and a garbled one does not.
        values = (NAME, PATIENT_ID, UID, *((BIRTH_DATE,) if keyword in NO_NUMBERS else ()))
        for number, value in enumerate(values):
            mark = "1." + "7" * (len(value) - 2)
            path = write_ct(folder, made_up(keyword, number), **{keyword: mark})
            plant(path, keyword, value)
    write_ct(folder, made_up("all"), StudyInstanceUID=UID, SeriesInstanceUID=f"{UID}.1",
             PatientID=PATIENT_ID, PatientName=NAME, StudyID=BIRTH_DATE)  # fmt: skip
    (folder / f"{made_up('cut')}.dcm").write_bytes((NAME + PATIENT_ID).encode() * 40)
    return root


def test_nothing_that_names_a_patient_is_kept(
    root: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert find_leaks(SECRETS, folders=[root], texts=[])
    out, headers = tmp_path / "out", tmp_path / "headers"
    with caplog.at_level(logging.DEBUG):
        index = index_of(root, out, headers=headers)
    report = json.dumps(examine(index).as_dict())
    assert len(index.images) > 60
    assert len(index.quarantine) >= 1
    texts = [caplog.text, *capfd.readouterr(), report]
    assert find_leaks(SECRETS, folders=[out, headers], texts=texts) == []
