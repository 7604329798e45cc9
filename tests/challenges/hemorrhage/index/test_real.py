"""Real head CT: every value in the index equals what pydicom reads."""

from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest

from lsdc.challenges.hemorrhage.index.build import Index
from lsdc.challenges.hemorrhage.quality.doctor import examine
from lsdc.dicom.terms import digest_patient
from tests.challenges.hemorrhage.index.indexing import index_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def index(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return index_of(real_data / "hemorrhage", tmp_path_factory.mktemp("index"))


def test_all_real_files_are_indexed(index: Index) -> None:
    assert dict(index.images.group_by("split").len().rows()) == {"train": 254, "test": 58}
    assert dict(index.studies.group_by("split").len().rows()) == {"train": 8, "test": 2}
    assert len(index.quarantine) == len(index.other_files) == 0
    assert not index.images["id_mismatch"].any()
    assert index.images["has_patient_id"].all()
    assert index.studies["patient"].n_unique() == 10


def test_real_values_are_those_of_pydicom(index: Index) -> None:
    for row in index.images.iter_rows(named=True):
        read = pydicom.dcmread(row["path"], stop_before_pixels=True)
        assert row["image_id"] == read.SOPInstanceUID
        assert row["study_id"] == read.StudyInstanceUID
        assert row["series_id"] == read.SeriesInstanceUID
        assert row["patient"] == digest_patient(read.PatientID.encode())
        assert (row["rows"], row["columns"]) == (read.Rows, read.Columns)
        assert row["bits_stored"] == read.BitsStored
        assert row["pixel_representation"] == read.PixelRepresentation
        assert row["rescale_slope"] == read.RescaleSlope
        assert row["rescale_intercept"] == read.RescaleIntercept
        assert row["window_centers"] == np.atleast_1d(read.WindowCenter).tolist()
        assert row["window_widths"] == np.atleast_1d(read.WindowWidth).tolist()
        assert [row["row_spacing_mm"], row["column_spacing_mm"]] == list(read.PixelSpacing)
        assert row["orientation"] == list(read.ImageOrientationPatient)
        assert row["position_mm"] == list(read.ImagePositionPatient)
        assert row["modality"] == read.Modality


def test_real_stacks_are_in_order(index: Index) -> None:
    for _, stack in index.images.group_by("split", "study_id"):
        z = stack["position_mm"].arr.get(2).to_numpy()
        assert (np.diff(z) >= 0).all()
        cosine = np.cos(np.radians(stack["tilt_degrees"].to_numpy()[:-1]))
        steps = stack["step_mm"].to_numpy()
        np.testing.assert_allclose(steps[:-1], np.diff(z) * cosine, atol=1e-4)
        assert np.isnan(steps[-1])
    tied = index.series.filter(pl.col("tied") > 0)
    assert tied.select("study_id", "tied").rows() == [("ID_4fef99f0df", 16)]
    tilted = index.series["tilt_degrees"] > 1
    assert 0.4 <= tilted.mean() <= 0.9  # type: ignore[operator]
    assert index.series["tilt_degrees"].max() < 27  # type: ignore[operator]


def test_real_findings(index: Index) -> None:
    found = {finding.name: finding for finding in examine(index).findings if finding.count}
    assert found.keys() == {"tied_positions", "tilted_stacks", "two_windows"}
    test = index.images.filter(study_id="ID_d7fd39e49b")
    assert set(test["rescale_intercept"]) == {-1000.0}
    windows = found["two_windows"].rows
    twelve = index.images.filter(bits_stored=12)["study_id"]
    assert set(windows["study_id"]) == set(twelve)
    assert windows["unlike_windows"].sum() == 0
