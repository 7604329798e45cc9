"""Write slices as DICOM files with the 22 elements of the competition's."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lsdc.challenges.hemorrhage.phantom.record import PlannedImage, StudyRecord
from lsdc.challenges.hemorrhage.phantom.storage import CODINGS

_SHORT = 0.6  # of the PixelData


def write_image(
    folder: Path, record: StudyRecord, image: PlannedImage, stored: NDArray[np.uint16]
) -> None:
    """Write one image to `folder`, named by its id; `stored` (rows, columns) are its 16 bits."""
    pixels = stored.tobytes()
    if image is record.short_image:
        pixels = pixels[: int(len(pixels) * _SHORT) // 2 * 2]
    # The competition's ids are no valid UIDs.
    with disable_value_validation():
        dataset = Dataset()
        for keyword, value in _elements(record, image).items():
            setattr(dataset, keyword, value)
        dataset.add_new("PixelData", "OW", pixels)
        dataset.file_meta = _file_meta(record, image)
        # Enforcing the format would overwrite the file meta's own id of the instance.
        dataset.preamble = b"\0" * 128
        dataset.save_as(folder / f"{image.image_id}.dcm")


def _elements(record: StudyRecord, image: PlannedImage) -> dict[str, object]:
    """Return all elements but PixelData, by keyword."""
    coding, stack = CODINGS[record.storage], record.stack
    center, width = record.window
    two = not coding.signed  # 12-bit files give each window twice
    return {
        "SOPInstanceUID": image.image_id,
        "Modality": "CT",
        "PatientID": record.patient_id,
        "StudyInstanceUID": record.study_id,
        "SeriesInstanceUID": record.series_id,
        "StudyID": "",
        "ImagePositionPatient": _decimals(record.position_mm(image), coding.signed),
        "ImageOrientationPatient": _decimals(
            np.concatenate([stack.row_direction, stack.column_direction]), coding.signed
        ),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": image.shape[0],
        "Columns": image.shape[1],
        "PixelSpacing": [f"{stack.spacing_mm:.6f}"] * 2,
        "BitsAllocated": 16,
        "BitsStored": coding.bits,
        "HighBit": coding.bits - 1,
        "PixelRepresentation": int(coding.signed),
        "WindowCenter": [center.zfill(5)] * 2 if two else center,
        "WindowWidth": [width.zfill(5)] * 2 if two else width,
        "RescaleIntercept": coding.intercept,
        "RescaleSlope": "1",
    }


def _file_meta(record: StudyRecord, image: PlannedImage) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom sets it
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = CTImageStorage
    # As in the competition, another id than the image's.
    digest = hashlib.sha256(f"{record.study_id}/{image.image_id}".encode()).digest()[:16]
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{int.from_bytes(digest, 'big')}")
    meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian if record.implicit_vr else ExplicitVRLittleEndian
    )
    meta.ImplementationClassUID = UID("2.25.271828182845904523536028747135266249")
    meta.ImplementationVersionName = "PHANTOM"
    return meta


def _decimals(values: NDArray[np.float64], signed: bool) -> list[str]:
    """Format decimal strings: with six decimals, or up to nine without zeros at their end."""
    values = values + 0.0  # no negative zero
    if signed:
        return [f"{value:.6f}" for value in values]
    return [f"{value:.9f}".rstrip("0").rstrip(".") for value in values]
