"""Write slices as DICOM files, and broken files that are not DICOM."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)

from lsdc.challenges.lumbar.phantom.image import SlicePlane
from lsdc.challenges.lumbar.phantom.planning import SeriesPlan
from lsdc.challenges.lumbar.phantom.tissues import Contrast

_WHITE = 4095  # 12 bits stored, as scanners do
_ECHO_MS = {Contrast.T1: (500, 10), Contrast.T2: (3500, 100), Contrast.STIR: (4000, 60)}


@dataclass(frozen=True)
class StudyTags:
    """The attributes shared by all files of one study."""

    seed: int
    number: int  # the study's number in the phantom
    study_id: int
    series_id: int

    def uid(self, *parts: object) -> UID:
        """Return a UID determined by the seed and the parts, unique to them."""
        words = "/".join(str(part) for part in (self.seed, self.study_id, *parts))
        digest = hashlib.sha256(words.encode()).digest()[:16]
        return UID(f"2.25.{int.from_bytes(digest, 'big')}")


class SeriesWriter:
    """Writes the slices of one series, each to a file named by its instance number."""

    def __init__(self, folder: Path, plan: SeriesPlan, tags: StudyTags) -> None:
        folder.mkdir(parents=True)
        self._folder, self._plan, self._tags = folder, plan, tags
        self._shared = _encode(_shared_elements(plan, tags), implicit=plan.encoding == "implicit")

    def write(self, number: int, plane: SlicePlane, values: NDArray[np.float32]) -> None:
        """Write one slice; `values` (rows, columns) are brightnesses from 0 to 4095."""
        dataset = Dataset(self._shared)
        dataset.SOPInstanceUID = self._tags.uid(self._tags.series_id, number)
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [_decimal(value) for value in plane.origin_mm]
        dataset.ImageOrientationPatient = [
            _decimal(value) for value in (*plane.row_direction, *plane.column_direction)
        ]
        dataset.PixelSpacing = list(plane.spacing_mm)
        dataset.Rows, dataset.Columns = plane.shape
        dataset.PixelData = _stored(values, self._plan).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = self._file_meta(dataset.SOPInstanceUID)
        if self._plan.encoding == "rle":
            dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        dataset.save_as(self._folder / f"{number}.dcm", enforce_file_format=True)

    def write_broken_files(self) -> None:
        """Write a truncated, an empty and a text file, numbered after the last instance."""
        last = max(self._plan.instance_numbers)
        whole = (self._folder / f"{last}.dcm").read_bytes()
        (self._folder / f"{last + 1}.dcm").write_bytes(whole[: len(whole) * 6 // 10])
        (self._folder / f"{last + 2}.dcm").write_bytes(b"")
        text = "This is no image.\n" * 30
        (self._folder / f"{last + 3}.dcm").write_text(text, encoding="ascii")

    def _file_meta(self, instance: UID) -> FileMetaDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = instance
        # RLE is encoded from an uncompressed dataset.
        meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if self._plan.encoding == "implicit" else ExplicitVRLittleEndian
        )
        meta.ImplementationClassUID = UID("2.25.271828182845904523536028747135266249")
        meta.ImplementationVersionName = "PHANTOM"
        return meta


def _stored(values: NDArray[np.float32], plan: SeriesPlan) -> NDArray[np.uint16]:
    slope, intercept = plan.rescale or (1.0, 0.0)
    stored = np.rint((values - np.float32(intercept)) * np.float32(1 / slope)).clip(0, _WHITE)
    return np.asarray(_WHITE - stored if plan.monochrome1 else stored, dtype="<u2")


def _encode(elements: Dataset, *, implicit: bool) -> Dataset:
    """Encode the elements once to bytes that pydicom writes as they are, instead of every time."""
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = implicit, True
    write_dataset(encoded, elements)
    return read_dataset(BytesIO(encoded.getvalue()), implicit, is_little_endian=True)


def _shared_elements(plan: SeriesPlan, tags: StudyTags) -> Dataset:
    repetition, echo = _ECHO_MS[plan.contrast]
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    dataset.SOPClassUID = MRImageStorage
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
    dataset.FrameOfReferenceUID = tags.uid("frame")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if plan.monochrome1 else "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 1000, 2000
    if plan.rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = plan.rescale
        dataset.RescaleType = "US"
    return dataset


def _decimal(value: float) -> str:
    """Format a DICOM decimal string of at most 16 characters."""
    return f"{value:.9f}"
