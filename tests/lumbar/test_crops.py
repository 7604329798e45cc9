import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.experiments.config import CropsConfig, SlicesConfig
from lsdc.lumbar.coordinates import annotated_points
from lsdc.lumbar.crops import count_bytes, cut_crops
from lsdc.lumbar.index import build_index
from lsdc.lumbar.sides import find_sides
from lsdc.lumbar.tables import open_competition

CHOICE, CONFIG = SlicesConfig(), CropsConfig(size_px=32)


@pytest.fixture(scope="module")
def cut(walked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    cut_crops(walked.table("instances"), walked.table("slices"), CHOICE, CONFIG, folder)
    return folder


def test_sample_a_level_of_every_study_and_a_mask_of_what_is_there(walked, cut: Path) -> None:
    crops, samples = np.load(cut / "crops.npy"), pl.read_parquet(cut / "samples.parquet")
    mask = np.array(samples["mask"].to_list())

    assert crops.shape == (len(walked.points), 25, 32, 32)
    assert crops.dtype == np.uint8
    assert mask.shape == crops.shape[:2]
    assert samples["row"].to_list() == list(range(len(samples)))
    assert samples.group_by("study_id").len()["len"].unique().to_list() == [5]
    assert not crops[~mask].any()
    assert crops[mask].std(axis=(1, 2)).min() > 5
    assert count_bytes(walked.table("slices"), CHOICE, CONFIG) == crops.size


def test_study_without_t1_has_those_places_masked(walked, cut: Path) -> None:
    series = walked.table("series")
    with_t1 = series.filter(pl.col("series_description") == "Sagittal T1", pl.col("images") > 0)
    without = set(series["study_id"]) - set(with_t1["study_id"])
    samples = pl.read_parquet(cut / "samples.parquet")
    for study, mask in samples.select("study_id", "mask").iter_rows():
        assert any(mask[:11]) == (study not in without)
    assert without


def test_middle_of_a_t2_crop_is_the_bright_canal(walked, cut: Path) -> None:
    """A crop's centre is the level point, and CSF is bright there unless it is severely narrow."""
    crops, samples = np.load(cut / "crops.npy"), pl.read_parquet(cut / "samples.parquet")
    grades = walked.competition.labels.filter(condition="spinal_canal_stenosis", grade=0)
    normal = samples.join(grades, on=["study_id", "level"])
    middle = crops[normal["row"].to_numpy(), 11 + 5, 15:17, 15:17]
    seen = np.array(normal["mask"].to_list())[:, 11 + 5]
    assert np.median(middle[seen]) > 150


def test_two_cuts_are_equal_to_the_byte(walked, cut: Path, tmp_path: Path) -> None:
    cut_crops(
        walked.table("instances"), walked.table("slices"), CHOICE, CONFIG, tmp_path, processes=1
    )
    for name in ("crops.npy", "samples.parquet"):
        assert (tmp_path / name).read_bytes() == (cut / name).read_bytes()


def test_unreadable_pixels_are_quarantined_and_masked(phantom: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "competition", tmp_path / "out"
    shutil.copytree(phantom, root)
    out.mkdir()
    competition = open_competition(root)
    build_index(competition, "train", out)
    instances = pl.read_parquet(out / "instances.parquet")
    find_sides(instances, annotated_points(instances, competition.annotations), None, out)
    slices = pl.read_parquet(out / "slices.parquet")
    centre = slices.filter(pl.col("series_description") == "Sagittal T2/STIR").sort(
        pl.col("offset_mm").abs()
    )
    victim = centre.join(instances, on=["study_id", "series_id", "instance_number"]).row(
        0, named=True
    )
    content = Path(victim["path"]).read_bytes()
    Path(victim["path"]).write_bytes(content[: len(content) // 2])

    cut_crops(instances, slices, CHOICE, CONFIG, out)

    assert pl.read_parquet(out / "quarantine.parquet")["path"].to_list() == [victim["path"]]
    samples = pl.read_parquet(out / "samples.parquet")
    mask = samples.filter(study_id=victim["study_id"], level=victim["level"])["mask"][0]
    assert not all(mask[11 + 3 : 11 + 8])


def test_no_study_at_all_leaves_empty_tables(walked, tmp_path: Path) -> None:
    nothing = walked.table("slices").clear()
    assert cut_crops(walked.table("instances").clear(), nothing, CHOICE, CONFIG, tmp_path) == 0
    assert np.load(tmp_path / "crops.npy").shape == (0, 25, 32, 32)
