"""Every real slice: eight studies to train on and two to predict."""

from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.slices.hounsfield import LOWEST_HU, mend
from lsdc.dicom.image import Image
from lsdc.dicom.reader import read_pixels
from tests.challenges.hemorrhage.slices.made_slices import list_images, prepare_slices

FIELD_OF_VIEW = -2000  # what is stored outside it

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")


def list_real(files: list[Path]) -> pl.DataFrame:
    """Return the images table of real files, sorted along the normal."""
    rows = []
    for file in files:
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        across, down = np.reshape(dataset.ImageOrientationPatient, (2, 3))
        rows.append(
            {
                "path": str(file),
                "image_id": file.stem,
                "study_id": str(dataset.StudyInstanceUID),
                "bits_stored": dataset.BitsStored,
                "along_mm": float(np.cross(across, down) @ dataset.ImagePositionPatient),
            }
        )
    order = pl.struct("along_mm", "image_id").rank("ordinal").over("study_id") - 1
    return list_images(rows).with_columns(order=order.cast(pl.Int64))


@pytest.fixture(scope="module")
def files(real_data: Path) -> list[Path]:
    found = sorted((real_data / "hemorrhage").glob("*_images/*.dcm"))
    assert len(found) == 254 + 58
    return found


def test_hu_of_every_slice_equal_those_of_pydicom(files: list[Path]) -> None:
    intercepts, padded = set(), 0
    images = read_pixels([str(file) for file in files])
    for file, (_, image) in zip(files, images, strict=True):
        assert isinstance(image, Image)
        dataset = pydicom.dcmread(file)
        stored = dataset.pixel_array.astype(int)
        expected = stored * int(dataset.RescaleSlope) + int(float(dataset.RescaleIntercept))
        outside = stored == FIELD_OF_VIEW
        mended, correction = mend(image, dataset.BitsStored)
        hu = mended.rescaled()
        assert correction is None
        np.testing.assert_array_equal(hu[~outside], expected[~outside], err_msg=file.name)
        assert (hu[outside] == LOWEST_HU).all()
        padded += bool(outside.any())
        intercepts.add(float(dataset.RescaleIntercept))
    assert intercepts == {-1024, -1000}
    assert 0 < padded < len(files)


def test_neighbouring_rows_show_neighbouring_slices(files: list[Path], tmp_path: Path) -> None:
    images = list_real(files)
    array, slices = prepare_slices(images, SlicesConfig(size_px=64), tmp_path)
    assert len(slices) == len(files)
    assert slices["study_id"].n_unique() == 10
    for _, study in slices.group_by("study_id"):
        rows = study.sort("order")["row"].to_numpy()
        assert (np.diff(rows) == 1).all()
        brain = array[rows, 0].astype(float)
        near, far = (np.abs(brain[gap:] - brain[:-gap]).mean() for gap in (1, len(rows) // 2))
        assert near < 0.6 * far
