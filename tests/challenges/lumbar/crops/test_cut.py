import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.crops.cut import count_bytes, cut_shard, join_crops
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.training.samples import as_samples, read_table
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom_index.indexing import build_index

CHOICE, CONFIG = SlicesConfig(), CropsConfig(size_px=32)


@pytest.fixture(scope="module")
def cut(walked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    cut_crops(walked.table("instances"), walked.table("slices"), CHOICE, CONFIG, folder)
    return folder


def test_every_level_has_a_sample_with_a_mask_of_its_slices(walked, cut: Path) -> None:
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


def test_t1_slots_of_a_study_without_t1_are_masked(walked, cut: Path) -> None:
    series = walked.table("series")
    with_t1 = series.filter(pl.col("series_description") == "Sagittal T1", pl.col("images") > 0)
    without = set(series["study_id"]) - set(with_t1["study_id"])
    samples = pl.read_parquet(cut / "samples.parquet")
    for study, mask in samples.select("study_id", "mask").iter_rows():
        assert any(mask[:11]) == (study not in without)
    assert without


def test_middle_of_a_t2_crop_shows_the_bright_canal(walked, cut: Path) -> None:
    """A crop's centre is the level point, with bright CSF unless the stenosis is severe."""
    crops, samples = np.load(cut / "crops.npy"), pl.read_parquet(cut / "samples.parquet")
    grades = walked.competition.labels.filter(condition="spinal_canal_stenosis", grade=0)
    normal = samples.join(grades, on=["study_id", "level"])
    middle = crops[normal["row"].to_numpy(), 11 + 5, 15:17, 15:17]
    seen = np.array(normal["mask"].to_list())[:, 11 + 5]
    assert np.median(middle[seen]) > 150


def cut_with(walked, folder: Path, **settings: Any) -> np.ndarray:
    config = CropsConfig(**({"size_px": 32} | settings))
    cut_crops(walked.table("instances"), walked.table("slices"), CHOICE, config, folder)
    crops: np.ndarray = np.load(folder / "crops.npy")
    assert count_bytes(walked.table("slices"), CHOICE, config) == crops.nbytes
    return crops


def test_crops_of_16_bits_equal_those_of_8_bits_with_finer_steps(
    walked, cut: Path, tmp_path: Path
) -> None:
    eight, sixteen = np.load(cut / "crops.npy"), cut_with(walked, tmp_path, dtype="uint16")
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 257 - eight).max() <= 0.51
    assert len(np.unique(sixteen)) > 5000  # more than 8 bits can hold


def test_training_reads_8_and_16_bits_alike(walked, cut: Path, tmp_path: Path) -> None:
    cut_with(walked, tmp_path, dtype="uint16")
    eight, sixteen = (
        as_samples(folder, read_table(folder, "train"), walked.competition.labels)
        for folder in (cut, tmp_path)
    )
    assert sixteen.ids == eight.ids
    for one, other in zip(eight, sixteen, strict=True):
        np.testing.assert_allclose(other.slices, one.slices / 255, atol=0.003)


def test_border_is_black_or_repeats_the_edge(walked, tmp_path: Path) -> None:
    """Windows as large as the images extend beyond them, mostly at their corners."""
    large = {"axial_window": 1.0, "sagittal_window": 1.0}
    edge = cut_with(walked, tmp_path / "edge", **large)
    black = cut_with(walked, tmp_path / "constant", border="constant", **large)
    mask = np.array(pl.read_parquet(tmp_path / "edge/samples.parquet")["mask"].to_list())
    different = (edge != black)[mask]
    assert different.any(axis=(1, 2)).mean() > 0.5
    assert (black[mask][different] == 0).mean() > 0.8  # the rest is interpolated across the edge
    assert not different[:, 14:18, 14:18].any()


def test_each_series_is_scaled_by_its_own_percentiles(walked, tmp_path: Path) -> None:
    """One percent of an image's pixels is black and half a percent white, for any scanner."""
    whole = {"sagittal_window": 1.0, "sagittal_centre": "image", "size_px": 64}
    crops = cut_with(walked, tmp_path, **whole)
    mask = np.array(pl.read_parquet(tmp_path / "samples.parquet")["mask"].to_list())
    for first in range(0, len(crops), 5):  # a study
        for places in (slice(11), slice(11, 22)):
            values = crops[first : first + 5, places][mask[first : first + 5, places]]
            if len(values):
                dark, bright = np.percentile(values, [1, 99.5])
                assert dark <= 8  # interpolation slightly reduces both extremes
                assert bright >= 200


def test_crops_are_reproducible_to_the_byte(walked, cut: Path, tmp_path: Path) -> None:
    cut_crops(
        walked.table("instances"), walked.table("slices"), CHOICE, CONFIG, tmp_path, processes=1
    )
    for name in ("crops.npy", "samples.parquet"):
        assert (tmp_path / name).read_bytes() == (cut / name).read_bytes()


@pytest.mark.parametrize("portions", [[1, 2, 3], [6], [0, 5, 0, 1]])
def test_crops_of_shards_are_the_same_bytes(
    portions: list[int], walked, cut: Path, tmp_path: Path
) -> None:
    instances, slices = walked.table("instances"), walked.table("slices")
    studies, shards = sorted(slices["study_id"].unique()), []
    for number, count in enumerate(portions):
        own, studies = studies[:count], studies[count:]
        shards.append(tmp_path / str(number))
        cut_shard(
            instances, slices.filter(pl.col("study_id").is_in(own)), CHOICE, CONFIG, shards[-1]
        )
    out = tmp_path / "out"
    out.mkdir()
    assert join_crops(shards, out, files=len(instances)) == 30
    for name in ("crops.npy", "samples.parquet", "quarantine.parquet"):
        assert (out / name).read_bytes() == (cut / name).read_bytes()
    assert not list(tmp_path.glob("*/.writing-*"))


def test_unreadable_pixels_are_quarantined_and_masked(phantom: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "competition", tmp_path / "out"
    shutil.copytree(phantom, root)
    out.mkdir()
    competition = open_competition(root)
    build_index(competition, "train", out)
    instances = pl.read_parquet(out / "instances.parquet")
    measure_offsets(instances, annotated_points(instances, competition.annotations), None, out)
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


def test_series_with_signed_and_unsigned_files_gives_the_same_crops(
    walked, cut: Path, tmp_path: Path
) -> None:
    middle = walked.table("slices").filter(series_description="Sagittal T1", level="l3_l4")
    file = ["study_id", "series_id", "instance_number"]
    victim = middle.sort(pl.col("offset_mm").abs()).join(walked.table("instances"), on=file).head(1)
    signed = pydicom.dcmread(victim["path"][0])
    assert signed.PixelRepresentation == 0
    assert signed.pixel_array.max() < 2**15  # the same values either way
    signed.PixelRepresentation = 1
    signed.save_as(tmp_path / "signed.dcm")
    theirs = pl.col("path") == victim["path"][0]
    path = pl.when(theirs).then(pl.lit(str(tmp_path / "signed.dcm"))).otherwise("path")
    instances = walked.table("instances").with_columns(path=path)
    cut_crops(instances, walked.table("slices"), CHOICE, CONFIG, tmp_path)
    assert (tmp_path / "crops.npy").read_bytes() == (cut / "crops.npy").read_bytes()


def test_moved_slice_is_recorded_and_corrected(phantom: Path, walked, tmp_path: Path) -> None:
    """The pixels of one slice are shifted, as if the patient had moved during it."""
    middle = (pl.col("series_description") == "Sagittal T2/STIR") & (pl.col("offset_mm").abs() < 9)
    slices, instances = walked.table("slices"), walked.table("instances")
    native = instances.filter(pl.col("path").str.contains("train_images"))
    rows = slices.filter(middle).join(native, on=["study_id", "series_id", "instance_number"])
    victim = rows.sort("columns", descending=True).row(0, named=True)
    moved = tmp_path / "moved.dcm"
    dataset = pydicom.dcmread(victim["path"])
    pixels = np.roll(dataset.pixel_array, (3, -2), axis=(0, 1))
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(moved)
    path = pl.when(pl.col("path") == victim["path"]).then(pl.lit(str(moved))).otherwise("path")
    there = instances.with_columns(path=path)
    slices, there = (table.filter(study_id=victim["study_id"]) for table in (slices, there))
    for motion in ("ignore", "find", "correct"):
        config = CropsConfig(size_px=32, motion=motion)
        cut_crops(there, slices, CHOICE, config, tmp_path / motion)
    still = instances.filter(study_id=victim["study_id"])
    cut_crops(still, slices, CHOICE, CropsConfig(size_px=32, motion="find"), tmp_path / "still")

    assert not (tmp_path / "ignore/motion.parquet").exists()
    assert not len(pl.read_parquet(tmp_path / "still/motion.parquet"))
    found = pl.read_parquet(tmp_path / "find/motion.parquet").with_columns(
        x_px=pl.col("shift_x_mm") / victim["column_spacing_mm"],
        y_px=pl.col("shift_y_mm") / victim["row_spacing_mm"],
    )
    far = found.filter(pl.max_horizontal(pl.col("x_px", "y_px").abs()) > 1)
    assert far.select("series_id", "instance_number").rows() == [
        (victim["series_id"], victim["instance_number"])
    ]
    np.testing.assert_allclose(far.select("x_px", "y_px").row(0), (-2, 3), atol=0.4)
    shown, unmoved, corrected = (
        np.load(tmp_path / name / "crops.npy").astype(float)
        for name in ("find", "still", "correct")
    )
    assert np.abs(corrected - unmoved).mean() < 0.3 * np.abs(shown - unmoved).mean()


def test_no_studies_give_empty_tables(walked, tmp_path: Path) -> None:
    nothing = walked.table("slices").clear()
    assert cut_crops(walked.table("instances").clear(), nothing, CHOICE, CONFIG, tmp_path) == 0
    assert np.load(tmp_path / "crops.npy").shape == (0, 25, 32, 32)
