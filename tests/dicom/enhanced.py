"""Enhanced MR files with planted frames, as scanners and converters write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian


@dataclass(frozen=True)
class Planted:
    """A frame: its pixels and their geometry."""

    pixels: np.ndarray
    position: tuple[float, float, float]
    orientation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    spacing: tuple[float, float] = (0.75, 0.5)
    echo_time: float = 102.5
    slope: float = 1.0
    intercept: float = 0.0


def plant_frames(count: int, *, step_mm: float = 4.0) -> list[Planted]:
    """Return frames of noise at increasing positions, each with another rescale slope."""
    draw = np.random.default_rng(count)
    return [
        Planted(
            draw.integers(0, 4096, (24, 16), dtype=np.uint16),
            (-10.5, 20.25, step_mm * number),
            slope=1.0 + number / 4,
            intercept=float(number),
        )
        for number in range(count)
    ]


def write_enhanced(
    path: Path,
    frames: Sequence[Planted],
    *,
    syntax: UID = ExplicitVRLittleEndian,
    **tags: Any,
) -> Path:
    """Write frames as one file; common spacings and directions are in the shared groups."""
    first, dataset = frames[0], Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = EnhancedMRImageStorage, "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
    dataset.Modality, dataset.PatientName, dataset.PatientID = "MR", "DOE^JANE", "4711"
    dataset.FrameOfReferenceUID = "1.2.3.4.6"
    dataset.InstanceNumber, dataset.NumberOfFrames = 1, len(frames)
    dataset.Rows, dataset.Columns = first.pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * first.pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = dataset.BitsAllocated, dataset.BitsAllocated - 1
    dataset.PixelRepresentation = int(first.pixels.dtype.kind == "i")
    shared = item(PixelMeasuresSequence=item(PixelSpacing=list(first.spacing), SliceThickness=4))
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(
            FrameContentSequence=item(DimensionIndexValues=[number]),
            PlanePositionSequence=item(ImagePositionPatient=list(frame.position)),
            MREchoSequence=item(EffectiveEchoTime=frame.echo_time),
            PixelValueTransformationSequence=item(
                RescaleSlope=frame.slope, RescaleIntercept=frame.intercept, RescaleType="US"
            ),
        )
        for number, frame in enumerate(frames, start=1)
    ]
    parallel = len({frame.orientation for frame in frames}) == 1
    groups = [shared] if parallel else dataset.PerFrameFunctionalGroupsSequence
    for group, frame in zip(groups, frames, strict=False):
        directions = item(ImageOrientationPatient=list(frame.orientation))
        group.PlaneOrientationSequence = [directions]
    dataset.PixelData = b"".join(frame.pixels.tobytes() for frame in frames)
    dataset["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        meta.TransferSyntaxUID = syntax
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    implicit = dataset.file_meta.TransferSyntaxUID.is_implicit_VR
    dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return path


def item(**elements: Any) -> Dataset:
    """Return an item of a sequence; an item as a value becomes a sequence of one item."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, [value] if isinstance(value, Dataset) else value)
    return made
