"""Write small files of head CT, with the 22 elements that the competition's files have."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from math import cos, radians, sin
from pathlib import Path
from typing import Any

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian


def made_up(*parts: object, digits: int = 9) -> str:
    """Return an id as in the competition, always the same for the same parts."""
    text = "/".join(map(str, parts))
    return f"ID_{blake2b(text.encode(), digest_size=8).hexdigest()[:digits]}"


def write_ct(
    folder: Path,
    image: str,
    *,
    study: str = "a",
    series: str = "1",
    patient: str | None = None,
    position: Sequence[float] | None = (-120, -110, 0),
    tilt: float = 0.0,
    size: tuple[int, int] = (16, 16),
    bits: int = 16,
    intercept: str = "-1024",
    windows: Sequence[str] = ("30",),
    implicit: bool = False,
    name: str | None = None,
    **tags: Any,
) -> Path:
    """Write an image of zeros to `folder/IMAGE.dcm`.

    Args:
        folder: the folder of images; made if missing.
        image: its id.
        study: what its study's id is made of.
        series: what its series' id is made of.
        patient: what its patient's id is made of; by default the study.
        position: ImagePositionPatient in mm; none if None.
        tilt: the tilt of the gantry in degrees.
        size: rows and columns.
        bits: 12 for unsigned, 16 for signed values.
        intercept: RescaleIntercept.
        windows: WindowCenter.
        implicit: whether the file does not name the types of its elements.
        name: the name of the file, if it is another than the image's id.
        tags: elements to set or, with None, to leave out.
    """
    path = folder / f"{name or image}.dcm"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "9999.1"
    with disable_value_validation():
        dataset = FileDataset(os.fspath(path), Dataset(), file_meta=meta, preamble=bytes(128))
        dataset.SOPInstanceUID, dataset.Modality = image, "CT"
        dataset.PatientID = made_up("patient", study if patient is None else patient, digits=8)
        dataset.StudyInstanceUID = made_up("study", study, digits=10)
        dataset.SeriesInstanceUID = made_up("series", study, series, digits=10)
        dataset.StudyID = ""
        dataset.ImagePositionPatient = None if position is None else [*position]
        turn = radians(tilt)
        dataset.ImageOrientationPatient = [1, 0, 0, 0, round(cos(turn), 9), round(-sin(turn), 9)]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = size
        dataset.PixelSpacing = [0.5, 0.5]
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
        dataset.PixelRepresentation = int(bits == 16)
        dataset.WindowCenter, dataset.WindowWidth = [*windows], ["80"] * len(windows)
        dataset.RescaleIntercept, dataset.RescaleSlope = intercept, "1"
        dataset.PixelData = bytes(2 * size[0] * size[1])
        dataset["PixelData"].VR = "OW"
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path)
    return path


def write_stack(folder: Path, study: str, heights: Sequence[float], **options: Any) -> list[Path]:
    """Write a study of one series whose images differ in z alone; return their paths."""
    return [
        write_ct(
            folder,
            made_up(study, options.get("series", "1"), number),
            study=study,
            position=(-120, -110, z),
            **options,
        )
        for number, z in enumerate(heights)
    ]
