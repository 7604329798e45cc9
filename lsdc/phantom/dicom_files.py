"""Slices as DICOM files, and files that are none."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)

from lsdc.phantom.image import SlicePlane
from lsdc.phantom.planning import SeriesPlan
from lsdc.phantom.tissues import Contrast

_SYNTAX = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
}
_WHITE = 4095  # 12 bits stored, as scanners do
_ECHO_MS = {Contrast.T1: (500, 10), Contrast.T2: (3500, 100), Contrast.STIR: (4000, 60)}


@dataclass(frozen=True)
class StudyTags:
    """What the files of one study have in common."""

    seed: int
    number: int  # of the study in the phantom
    study_id: int
    series_id: int

    def uid(self, *parts: object) -> UID:
        """The same for the same seed and the same parts, and no other's."""
        words = "/".join(str(part) for part in (self.seed, self.study_id, *parts))
        digest = hashlib.sha256(words.encode()).digest()[:16]
        return UID(f"2.25.{int.from_bytes(digest, 'big')}")


def write_slice(
    path: Path, values: NDArray[np.float32], plane: SlicePlane, plan: SeriesPlan, tags: StudyTags
) -> None:
    """Write one slice; `values` (rows, columns) are brightnesses of 0..4095 at most.

    The file's name is its instance number.
    """
    number = int(path.stem)
    stored = _stored(values, plan)
    dataset = _dataset(plane, plan, tags, number)
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    syntax = _SYNTAX[plan.encoding]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax if plan.encoding != "rle" else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID("2.25.271828182845904523536028747135266249")
    meta.ImplementationVersionName = "PHANTOM"
    dataset.file_meta = meta
    if plan.encoding == "rle":
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def write_broken_files(folder: Path, after: int) -> None:
    """A truncated, an empty and a text file, numbered after the series' last instance."""
    whole = (folder / f"{after}.dcm").read_bytes()
    (folder / f"{after + 1}.dcm").write_bytes(whole[: len(whole) * 6 // 10])
    (folder / f"{after + 2}.dcm").write_bytes(b"")
    (folder / f"{after + 3}.dcm").write_text("This is no image.\n" * 30, encoding="ascii")


def _stored(values: NDArray[np.float32], plan: SeriesPlan) -> NDArray[np.uint16]:
    slope, intercept = plan.rescale or (1.0, 0.0)
    stored = np.rint((values - np.float32(intercept)) * np.float32(1 / slope)).clip(0, _WHITE)
    return np.asarray(_WHITE - stored if plan.monochrome1 else stored, dtype="<u2")


def _dataset(plane: SlicePlane, plan: SeriesPlan, tags: StudyTags, number: int) -> Dataset:
    repetition, echo = _ECHO_MS[plan.contrast]
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = tags.uid(tags.series_id, number)
    dataset.StudyDate = "20000101"
    dataset.StudyTime = "120000"
    dataset.Modality = "MR"
    dataset.Manufacturer = "Phantom"
    dataset.InstitutionName = "Synthetic Hospital"
    dataset.ReferringPhysicianName = "SYNTHETIC^PHYSICIAN"
    dataset.StudyDescription = "Synthetic lumbar spine"
    dataset.SeriesDescription = plan.header_description
    dataset.PatientName = f"SYNTHETIC^PHANTOM{tags.number:04d}"
    dataset.PatientID = f"PHANTOM-{tags.number:04d}"
    dataset.PatientBirthDate = "19000101"
    dataset.PatientSex = "O"
    dataset.ScanningSequence = "SE"
    dataset.SequenceVariant = "SK"
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = repetition
    dataset.EchoTime = echo
    if plan.spacing_mm is not None:
        dataset.SliceThickness = round(plan.spacing_mm * 0.9, 2)
        dataset.SpacingBetweenSlices = plan.spacing_mm
    dataset.PatientPosition = plan.patient_position
    dataset.StudyInstanceUID = tags.uid("study")
    dataset.SeriesInstanceUID = tags.uid("series", tags.series_id)
    dataset.StudyID = str(tags.number)
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [_decimal(value) for value in plane.origin_mm]
    dataset.ImageOrientationPatient = [
        _decimal(value) for value in (*plane.row_direction, *plane.column_direction)
    ]
    dataset.FrameOfReferenceUID = tags.uid("frame")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if plan.monochrome1 else "MONOCHROME2"
    dataset.PixelSpacing = list(plane.spacing_mm)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 1000, 2000
    if plan.rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = plan.rescale
        dataset.RescaleType = "US"
    return dataset


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{value:.9f}"
