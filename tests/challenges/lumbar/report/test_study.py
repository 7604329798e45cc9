"""Gathering a study's results, also from incomplete runs."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.report.study import gather_study
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.errors import DataError
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.challenges.lumbar.report.conftest import SLICES

T1, T2 = SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2


def without(results: Path, folder: Path, *names: str) -> Path:
    """Copy the results without some files."""
    shutil.copytree(results, folder, ignore=shutil.ignore_patterns(*names))
    return folder


def test_middle_slice_is_an_annotated_canal_slice(results: Path, studies: list[int]) -> None:
    annotations = pl.read_parquet(results / "annotations.parquet")
    for study in studies[:2]:
        canal = annotations.filter(study_id=study, condition="spinal_canal_stenosis")
        middle = gather_study(study, [results], SLICES).middle(T2)
        assert middle["instance_number"][0] in canal["instance_number"].to_list()
        assert middle["series_id"][0] == canal["series_id"][0]


def test_nearest_axial_slice_is_the_nearest_chosen_one(results: Path, studies: list[int]) -> None:
    study = gather_study(studies[0], [results], SLICES)
    axial = study.slices.filter(series_description="Axial T2", level="l3_l4")
    nearest = study.nearest_axial("l3_l4")
    assert abs(nearest["offset_mm"][0]) == axial["offset_mm"].abs().min()


def test_study_has_predicted_and_annotated_points(results: Path, studies: list[int]) -> None:
    marks = gather_study(studies[0], [results], SLICES).marks
    canal = marks.filter(condition="spinal_canal_stenosis")
    assert canal.group_by("kind").len().sort("kind").rows() == [("annotated", 5), ("predicted", 5)]


def test_study_without_annotations_has_predicted_points(
    results: Path, studies: list[int], tmp_path: Path
) -> None:
    folder = without(results, tmp_path / "some", "annotations.parquet", "corrections.parquet")
    study = gather_study(studies[0], [folder], SLICES)
    assert study.marks["kind"].unique().to_list() == ["predicted"]
    assert study.crops.shape == (5, SLICES.count, 16, 16)


def test_study_without_points_has_images_and_no_crops(
    results: Path, studies: list[int], tmp_path: Path
) -> None:
    folder = without(results, tmp_path / "some")
    for name in ("points", "landmarks", "slices", "samples", "annotations"):
        path = folder / f"{name}.parquet"
        pl.read_parquet(path).filter(pl.col("study_id") != studies[0]).write_parquet(path)
    study = gather_study(studies[0], [folder], SLICES)
    assert study.samples == ()
    numbers = study.instances.filter(series_description=str(T2)).sort("normal_position_mm")
    assert study.middle(T2)["path"][0] == numbers["path"][len(numbers) // 2]
    assert study.nearest_axial("l1_l2").is_empty()


def test_unknown_study_is_refused(results: Path) -> None:
    with pytest.raises(DataError, match="study 8: no image in the results"):
        gather_study(8, [results], SlicesConfig())


def test_sample_of_a_right_side_has_the_offsets_of_its_own_slices(
    results: Path, studies: list[int], tmp_path: Path
) -> None:
    """The distance below a crop of a right side is that of the slice it was cut from."""
    folder = tmp_path / "sided"
    folder.mkdir()
    tables = [
        pl.read_parquet(results / f"{name}.parquet")
        for name in ("instances", "slices", "landmarks")
    ]
    instances, slices, landmarks = (table.filter(study_id=studies[0]) for table in tables)
    config = CropsConfig(size_px=16, by_side=True)
    cut_crops(instances, slices, SLICES, config, folder, landmarks=landmarks)
    plain = gather_study(studies[0], [results], SLICES)
    sided = gather_study(
        studies[0], [folder, without(results, tmp_path / "rest", "crops.npy")], SLICES
    )
    assert sided.samples[:3] == (("l1_l2", "left"), ("l1_l2", "right"), ("l2_l3", "left"))
    of_both = {offset: place for place, offset in plain.offsets_mm("l3_l4", None).items()}
    row, sagittal = plain.samples.index(("l3_l4", None)), SLICES.count - SLICES.axial_slices
    for side in ("left", "right"):
        offsets = sided.offsets_mm("l3_l4", side)
        assert set(offsets) == set(np.flatnonzero(sided.mask[sided.samples.index(("l3_l4", side))]))
        for place in range(sagittal):
            crop = sided.crops[sided.samples.index(("l3_l4", side)), place]
            # Sagittal slices look the same for both sides.
            assert np.array_equal(crop, plain.crops[row, of_both[offsets[place]]])
    assert [np.sign(sided.offsets_mm("l3_l4", side)[0]) for side in ("left", "right")] == [1, -1]
