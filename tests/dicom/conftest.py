"""DICOM files made on the fly, and those that ship inside pydicom."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, RLELossless

WriteDicom = Callable[..., Path]


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """Write a small MR image: `write_dicom(name, pixels, syntax="rle", PatientPosition="FFS")`."""

    def write(
        name: str | bytes = "image.dcm",
        pixels: np.ndarray | None = None,
        *,
        syntax: str = "explicit",
        **tags: Any,
    ) -> Path:
        if pixels is None:
            pixels = np.arange(24 * 16, dtype=np.uint16).reshape(24, 16)
        path = tmp_path / os.fsdecode(name)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if syntax == "implicit":
            meta.TransferSyntaxUID = ImplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset = FileDataset(os.fspath(path), Dataset(), file_meta=meta, preamble=bytes(128))
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = "1.2.3"
        dataset.PatientName = "DOE^JOHN"
        dataset.PatientPosition = "HFS"
        dataset.InstanceNumber = 7
        dataset.ImagePositionPatient = [-10.5, 20.25, 30]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [0.75, 0.5]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = 8 * pixels.dtype.itemsize
        dataset.BitsStored = dataset.BitsAllocated
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW"
        if syntax == "rle":
            dataset.compress(RLELossless, generate_instance_uid=False)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
        return path

    return write


@pytest.fixture(scope="session")
def pydicom_files() -> list[Path]:
    """Every DICOM file inside the pydicom package, some of them broken; none is downloaded."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return sorted(folder.glob("*.dcm"))


@pytest.fixture(scope="session")
def real_files() -> list[Path]:
    """A few files of each series of a real study."""
    root = os.environ.get("LSDC_REAL_DATA")
    if not root:
        pytest.skip("LSDC_REAL_DATA is not set")
    folders = sorted(Path(root).glob("competition/train_images/*/*"))
    return [path for folder in folders for path in sorted(folder.glob("*.dcm"))[::7]]
