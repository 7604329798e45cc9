"""Enhanced MR: the position and pixels of every frame equal those of highdicom."""

import os
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from lsdc.dicom.functional_groups import FRAME_NUMBERS
from lsdc.dicom.pixels import read_with_pydicom
from lsdc.dicom.preflight import open_dicom
from lsdc.dicom.reader import Image, Unreadable, read_pixels
from tests.dicom.conftest import WriteDicom
from tests.dicom.enhanced import item, plant_frames, write_enhanced
from tests.dicom.file_meta import take_apart
from tests.dicom.reading import by_pydicom, read_all, read_rows


def frames_of(path: Path) -> np.ndarray:
    """Return (frames, 12) from the header row: position, directions, spacing, echo time."""
    (row,) = read_rows([path]).iter_rows(named=True)
    assert (row["reason"], row["refusal"]) == (None, None)
    return np.array(row["frames"]).reshape(-1, FRAME_NUMBERS)


def images_of(path: Path, count: int) -> list[np.ndarray]:
    """Return the rescaled image of each frame; the frames are requested in reverse order."""
    order = [*range(count, 0, -1)]
    read = [image for _, image in read_pixels([os.fspath(path)] * count, order, processes=1)]
    assert all(isinstance(image, Image) for image in read), read
    return [image.rescaled() for image in read[::-1] if isinstance(image, Image)]


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless]
)
def test_positions_and_pixels_equal_those_of_highdicom(
    tmp_path: Path, count: int, syntax: UID
) -> None:
    planted = plant_frames(count)
    path = write_enhanced(tmp_path / "IM1", planted, syntax=syntax)
    found, images = frames_of(path), images_of(path, count)
    oracle = highdicom.imread(path)
    for number, (frame, row, image) in enumerate(zip(planted, found, images, strict=True), 1):
        expected = [*frame.position, *frame.orientation, *frame.spacing, frame.echo_time]
        np.testing.assert_allclose(row, expected)
        np.testing.assert_allclose(image, frame.pixels * frame.slope + frame.intercept, rtol=1e-6)
        by_oracle = oracle.get_frame(number, apply_modality_transform=True, dtype=np.float64)
        np.testing.assert_allclose(image, by_oracle, rtol=1e-6)
    if count > 1:
        geometry = oracle.get_volume_geometry()
        assert geometry is not None
        volume = geometry.affine @ np.array([[0, 0, 0, 1], [count - 1, 0, 0, 1]]).T
        ends = found[[0, -1], :3]
        assert np.allclose(volume[:3].T, ends) or np.allclose(volume[:3].T, ends[::-1])


def test_converted_classic_slices_are_read_like_the_slices(
    write_dicom: WriteDicom, tmp_path: Path
) -> None:
    slices = []
    for number in range(1, 5):
        path = write_dicom(f"{number}", np.full((24, 16), number, np.uint16))
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber, dataset.EchoTime = number, 80 + number
        dataset.SOPInstanceUID = f"1.2.3.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
        dataset.FrameOfReferenceUID, dataset.Modality = "1.2.3.4.6", "MR"
        dataset.ImagePositionPatient = [0, 0, 4.0 * number]
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
                        "StudyTime", "AccessionNumber", "ReferringPhysicianName",
                        "Manufacturer"):  # fmt: skip
            setattr(dataset, keyword, "")
        dataset.SeriesNumber = 1
        slices.append(dataset)
    legacy = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        slices, series_instance_uid="1.2.3.4.7", series_number=2, sop_instance_uid="1.2.3.9",
        instance_number=1,
    )  # fmt: skip
    legacy.save_as(tmp_path / "legacy.dcm")
    found = frames_of(tmp_path / "legacy.dcm")
    np.testing.assert_allclose(found[:, 9:11], [[0.75, 0.5]] * 4)
    numbers = []
    for frame, image in zip(found, images_of(tmp_path / "legacy.dcm", 4), strict=True):
        numbers.append(int(image[0, 0]))
        assert (image == numbers[-1]).all()
        assert frame[2] == 4.0 * numbers[-1]
        assert frame[11] == 80 + numbers[-1]
    assert sorted(numbers) == [1, 2, 3, 4]


def test_groups_are_read_from_shared_and_per_frame_items(tmp_path: Path) -> None:
    """A group that all frames share may be in either item (PS3.3 C.7.6.16.1)."""
    planted = plant_frames(3)
    path = write_enhanced(tmp_path / "IM1", planted)
    expected = frames_of(path)
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
    dataset.SharedFunctionalGroupsSequence = [item()]
    dataset.save_as(path)
    np.testing.assert_array_equal(frames_of(path), expected)


def test_missing_position_affects_only_its_frame(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "IM1", plant_frames(3))
    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    del dataset.PerFrameFunctionalGroupsSequence[2].MREchoSequence
    dataset.save_as(path)
    found = frames_of(path)
    assert np.isnan(found[:, 0]).tolist() == [False, True, False]
    assert np.isnan(found[:, 11]).tolist() == [False, False, True]


def test_different_numbers_of_frames_and_groups_are_refused(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "IM1", plant_frames(3))
    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[2]
    dataset.save_as(path)
    (reason,) = read_rows([path])["reason"]
    assert "3 frames, but functional groups for 2" in reason


def test_enhanced_file_with_position_in_its_header_is_read_like_a_classic_one(
    write_dicom: WriteDicom,
) -> None:
    path = write_dicom(SOPClassUID=EnhancedMRImageStorage, NumberOfFrames=1, RescaleSlope=2)
    header = by_pydicom(path)
    assert read_all([path]) == [header]
    assert header.format.frames is None
    assert header.image_position == (-10.5, 20.25, 30.0)
    (image,) = images_of(path, 1)
    np.testing.assert_array_equal(image, 2 * pydicom.dcmread(path).pixel_array)


def test_missing_frame_is_unreadable(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "IM1", plant_frames(2))
    ((_, outcome),) = read_pixels([os.fspath(path)], [3], processes=1)
    assert outcome == Unreadable("no frame 3: the file has 2")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_second_reader_reads_the_same_frames(tmp_path: Path, syntax: UID) -> None:
    planted = plant_frames(2)
    path = write_enhanced(tmp_path / "IM1", planted, syntax=syntax)
    np.testing.assert_array_equal(np.ravel(frames_of(path)), by_pydicom(path).format.frames)
    for number, frame in enumerate(planted, start=1):
        with open_dicom(os.fsencode(path), number) as file:
            read = read_with_pydicom(file)
        np.testing.assert_array_equal(read.stored, frame.pixels)
        assert (read.slope, read.intercept) == (frame.slope, frame.intercept)


def test_bare_and_truncated_files_lose_only_their_missing_frames(tmp_path: Path) -> None:
    planted = plant_frames(3)
    content = write_enhanced(tmp_path / "IM1", planted).read_bytes()
    bare, cut = tmp_path / "bare", tmp_path / "cut"
    bare.write_bytes(take_apart(content)[1])
    np.testing.assert_array_equal(frames_of(bare), frames_of(tmp_path / "IM1"))
    np.testing.assert_array_equal(images_of(bare, 3)[2], images_of(tmp_path / "IM1", 3)[2])
    cut.write_bytes(content[:-100])
    frames = [1, 3]
    read = [image for _, image in read_pixels([os.fspath(cut)] * 2, frames, processes=1)]
    assert isinstance(read[0], Image)
    assert isinstance(read[1], Unreadable)
    assert "bytes of PixelData" in read[1].reason


def test_shared_position_of_several_frames_is_ignored(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "IM1", plant_frames(3))
    dataset = pydicom.dcmread(path)
    shared = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    dataset.SharedFunctionalGroupsSequence[0].PlanePositionSequence = shared
    for own in list(dataset.PerFrameFunctionalGroupsSequence)[:2]:
        del own.PlanePositionSequence
    dataset.save_as(path)
    assert np.isnan(frames_of(path)[:, 0]).tolist() == [True, True, False]


@pytest.mark.parametrize("rescale", ["in the header", "shared", "nowhere"])
def test_extracted_frame_with_the_groups_of_all_frames_is_read(
    tmp_path: Path, rescale: str
) -> None:
    frame, *_ = plant_frames(1)
    path = write_enhanced(tmp_path / "IM1", [frame])
    dataset = pydicom.dcmread(path)
    (own,) = dataset.PerFrameFunctionalGroupsSequence
    (transformation,) = own.PixelValueTransformationSequence
    transformation.RescaleSlope, transformation.RescaleIntercept = 9, 9
    dataset.PerFrameFunctionalGroupsSequence = [own] * 15
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.75, 0.5]
    if rescale == "in the header":
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, 3
    elif rescale == "shared":
        dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [
            item(RescaleSlope=2, RescaleIntercept=3, RescaleType="US")
        ]
    dataset.save_as(path)
    (row,) = read_rows([path]).iter_rows(named=True)
    assert (row["reason"], row["refusal"], row["frames"]) == (None, None, None)
    expected = frame.pixels * 1.0 if rescale == "nowhere" else frame.pixels * 2.0 + 3.0
    np.testing.assert_array_equal(images_of(path, 1)[0], expected)
    with open_dicom(os.fsencode(path)) as file:
        decoded = read_with_pydicom(file)
    assert (decoded.slope, decoded.intercept) == ((1, 0) if rescale == "nowhere" else (2, 3))
