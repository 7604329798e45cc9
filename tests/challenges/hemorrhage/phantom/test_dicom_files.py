"""The written files: their elements, ids, numbers and geometry, read with pydicom alone."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lsdc.challenges.hemorrhage.phantom.study import Order, planned_hu
from tests.challenges.hemorrhage.phantom.written import (
    Headers,
    normal_of,
    position_of,
    read_files,
    rows_of,
)

ELEMENTS = {
    *("SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("StudyID", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel"),
    *("PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "WindowCenter", "WindowWidth"),
    *("RescaleIntercept", "RescaleSlope", "PixelData"),
}


@pytest.fixture(scope="module")
def studies(head_phantom: Path) -> list[dict[str, str]]:
    return rows_of(head_phantom / "answers/studies.csv")


def all_of(files: Headers) -> list[pydicom.Dataset]:
    return [dataset for datasets in files.values() for dataset in datasets]


def hu_of(dataset: pydicom.Dataset) -> np.ndarray:
    """Return HU as the header tells, with the numbers that are flagged wrongly mended."""
    stored = dataset.pixel_array.astype(int)
    if dataset.BitsStored == 12 and int(dataset.RescaleIntercept) == 0:
        stored[stored >= 2048] -= 4096
    return stored * int(dataset.RescaleSlope) + int(float(dataset.RescaleIntercept))


def test_header_has_exactly_the_competitions_22_elements(files: Headers) -> None:
    for dataset in all_of(files):
        assert {element.keyword for element in dataset} == ELEMENTS
        assert dataset.StudyID == ""


def test_ids_are_hex_of_the_competitions_lengths_and_no_uids(files: Headers) -> None:
    digits = {
        "PatientID": 8,
        "StudyInstanceUID": 10,
        "SeriesInstanceUID": 10,
        "SOPInstanceUID": 9,
    }
    for dataset in all_of(files):
        for keyword, count in digits.items():
            assert re.fullmatch(rf"ID_[0-9a-f]{{{count}}}", dataset[keyword].value)
        assert pydicom.uid.UID(dataset.file_meta.MediaStorageSOPInstanceUID).is_valid


def test_both_transfer_syntaxes_occur_one_a_study(files: Headers) -> None:
    syntaxes = [
        {dataset.file_meta.TransferSyntaxUID for dataset in datasets} for datasets in files.values()
    ]
    assert all(len(of_study) == 1 for of_study in syntaxes)
    assert set.union(*syntaxes) == {ExplicitVRLittleEndian, ImplicitVRLittleEndian}


def test_12_bit_files_give_windows_twice_and_16_bit_ones_once(files: Headers) -> None:
    kinds = set()
    for dataset in all_of(files):
        kinds.add((dataset.BitsStored, dataset.PixelRepresentation))
        assert dataset.HighBit == dataset.BitsStored - 1
        if dataset.BitsStored == 12:
            for window in (dataset.WindowCenter, dataset.WindowWidth):
                assert [text.original_string for text in window] == [f"{int(window[0]):05d}"] * 2
        else:
            assert float(dataset.WindowCenter) >= 30
            assert float(dataset.WindowWidth) >= 80
    assert kinds == {(16, 1), (12, 0)}


def test_hu_of_every_storage_are_the_planned_ones(
    files: Headers, studies: list[dict[str, str]], order: Order
) -> None:
    seen = set()
    for number, study in enumerate(studies):
        if study["storage"] in seen or study["split"] == "test":
            continue
        seen.add(study["storage"])
        by_id = {dataset.SOPInstanceUID: dataset for dataset in files[study["study_id"]]}
        planned = dict(planned_hu(order, number))
        assert planned.keys() == by_id.keys()
        for image_id, hu in planned.items():
            assert np.array_equal(hu_of(by_id[image_id]), hu)
    assert len(seen) == 4


def test_16_bit_files_are_padded_with_minus_2000_outside_the_circle(files: Headers) -> None:
    for dataset in all_of(files):
        if dataset.BitsStored == 16 and dataset.Rows == dataset.Columns == 64:
            if len(dataset.PixelData) < 64 * 64 * 2:
                continue
            pixels = dataset.pixel_array
            assert pixels[0, 0] == pixels[-1, -1] == -2000
            assert (pixels[32] > -2000).all()


def test_only_z_moves_within_a_study(files: Headers) -> None:
    for datasets in files.values():
        square = [dataset for dataset in datasets if dataset.Rows == dataset.Columns]
        positions = np.array([position_of(dataset) for dataset in square])
        assert (np.ptp(positions[:, :2], axis=0) == 0).all()
        assert len({tuple(dataset.ImageOrientationPatient) for dataset in square}) == 1
        assert list(square[0].ImageOrientationPatient[:4]) == [1, 0, 0, 0]


def test_steps_along_the_normal_are_those_in_z_times_the_cosine_of_the_tilt(
    files: Headers, studies: list[dict[str, str]]
) -> None:
    for study in studies:
        if study["split"] == "test":
            continue
        datasets = [item for item in files[study["study_id"]] if item.Rows == item.Columns]
        datasets.sort(key=lambda item: position_of(item)[2])
        positions = np.array([position_of(dataset) for dataset in datasets])
        tilt = np.deg2rad(float(study["tilt_degrees"]))
        normal = normal_of(datasets[0])
        assert normal == pytest.approx([0, np.sin(tilt), np.cos(tilt)], abs=1e-5)
        along = positions @ normal
        assert np.diff(along) == pytest.approx(np.diff(positions[:, 2]) * np.cos(tilt), abs=1e-4)


def test_half_of_the_studies_are_tilted_by_5_to_26_degrees() -> None:
    from lsdc.challenges.hemorrhage.phantom.study import plan_studies

    records = plan_studies(Order(studies=200, test=0, seed=1))
    tilts = np.abs([record.stack.tilt_degrees for record in records])
    assert (tilts > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert tilts[tilts > 0].min() >= 5
    assert tilts.max() <= 26


def test_all_studies_reach_from_the_skulls_base_to_above_the_vertex(files: Headers) -> None:
    for datasets in files.values():
        whole = [item for item in datasets if len(item.PixelData) >= item.Rows * item.Columns * 2]
        whole.sort(key=lambda item: position_of(item)[2])
        assert (hu_of(whole[0]) > 300).mean() > 0.03
        if len(whole) == len(datasets):
            assert (hu_of(whole[-1]) > 300).mean() < 0.06


def test_test_images_have_the_same_elements(head_phantom: Path) -> None:
    for dataset in all_of(read_files(head_phantom, "test")):
        assert {element.keyword for element in dataset} == ELEMENTS
