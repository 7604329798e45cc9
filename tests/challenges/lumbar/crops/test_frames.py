"""Margins and spare slices: what is stored around the crops, and that the crops stay the same."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.crops.cut import count_bytes, cut_shard, join_crops
from lsdc.challenges.lumbar.crops.frames import read_frame, read_pixels_mm, show_crops
from lsdc.challenges.lumbar.slices.slots import list_stored, stored_places
from lsdc.challenges.lumbar.training.samples import as_samples, read_table
from tests.challenges.lumbar.crops.cutting import cut_crops

CHOICE = SlicesConfig(side_slices=2, middle_slices=3, axial_slices=2, spare_slices=2)
PLAIN = CHOICE.model_copy(update={"spare_slices": 0})
# Rectangular, with an odd margin.
SHAPED: dict[str, Any] = {
    "size_px": (24, 32),
    "sagittal_window_mm": (36.0, 45.0),
    "axial_window_mm": (45.0, 75.0),
}
CONFIG = CropsConfig(margin=0.3, **SHAPED)


@pytest.fixture(scope="module")
def tables(walked) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the instances and the slices of four studies."""
    instances, slices = walked.table("instances"), walked.table("slices")
    some = slices["study_id"].unique().sort().head(4)
    return instances, slices.filter(pl.col("study_id").is_in(some.implode()))


@pytest.fixture(scope="module")
def framed(tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("framed")
    cut_crops(*tables, CHOICE, CONFIG, folder)
    return folder


@pytest.fixture(scope="module")
def plain(tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    cut_crops(*tables, PLAIN, CropsConfig(**SHAPED), folder)
    return folder


def test_crops_with_a_frame_are_shown_as_without_to_the_bit(framed: Path, plain: Path) -> None:
    one, other = (as_samples(folder, read_table(folder, "train")) for folder in (framed, plain))
    assert one.ids == other.ids
    for with_frame, without in zip(one, other, strict=True):
        assert np.array_equal(with_frame.present, without.present)
        assert np.array_equal(with_frame.slices, without.slices)
    assert np.load(plain / "crops.npy").shape[1:] == (PLAIN.count, 32, 24)
    assert not (plain / "frames.parquet").exists()


def test_stored_crops_have_margins_and_spare_slices(tables, framed: Path) -> None:
    stored = np.load(framed / "crops.npy", mmap_mode="r")
    assert CONFIG.margins == (5, 4)
    assert stored.shape[1:] == (len(list_stored(CHOICE)), 42, 32)
    assert stored.nbytes == count_bytes(tables[1], CHOICE, CONFIG)
    table = pl.read_parquet(framed / "frames.parquet")
    kept, mask = (
        np.array(each.to_list(), dtype=bool)
        for each in (table["kept"], pl.read_parquet(framed / "samples.parquet")["mask"])
    )
    assert (mask <= kept[:, stored_places(CHOICE)]).all()
    assert kept.sum() > 1.5 * mask.sum()
    assert not np.asarray(stored)[~kept].any()


def test_size_of_pixels_is_that_of_the_windows(framed: Path) -> None:
    rows = np.arange(len(pl.read_parquet(framed / "frames.parquet")))
    pixels_mm = read_pixels_mm(framed, rows)
    axial = np.array([place.part == "axial" for place in list_stored(CHOICE)])
    for places, size_mm in ((~axial, (36 / 24, 45 / 32)), (axial, (45 / 24, 75 / 32))):
        found = pixels_mm[:, places][~np.isnan(pixels_mm[:, places, 0])]
        np.testing.assert_allclose(found, np.broadcast_to(size_mm, found.shape), rtol=1e-5)


def test_margins_continue_the_window(framed: Path, tables, tmp_path: Path) -> None:
    """A larger window on the same pixel grid shows the same, up to the last bit."""
    (rows, columns), (width, height) = CONFIG.stored_shape, CONFIG.size_px
    grown = {
        "size_px": (columns, rows),
        "sagittal_window_mm": (36 * columns / width, 45 * rows / height),
        "axial_window_mm": (45 * columns / width, 75 * rows / height),
    }
    cut_crops(*tables, CHOICE, CropsConfig(**grown), tmp_path)
    one, other = (np.load(folder / "crops.npy").astype(int) for folder in (framed, tmp_path))
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 0.01


def test_shards_with_frames_join_to_the_same(tables, framed: Path, tmp_path: Path) -> None:
    instances, slices = tables
    studies = slices["study_id"].unique().sort()
    shards = [tmp_path / "first", tmp_path / "second"]
    for shard, own in zip(shards, (studies[:1], studies[1:]), strict=True):
        shard.mkdir()
        some = slices.filter(pl.col("study_id").is_in(own.implode()))
        cut_shard(instances, some, CHOICE, CONFIG, shard)
    joined = tmp_path / "joined"
    joined.mkdir()
    join_crops(shards, joined, files=1)
    for name in ("crops.npy", "frames.parquet", "frame.json", "samples.parquet"):
        assert (joined / name).read_bytes() == (framed / name).read_bytes()


def test_crops_are_read_as_they_are_shown(framed: Path, plain: Path) -> None:
    rows = [3, 1]
    mask = np.array(pl.read_parquet(plain / "samples.parquet")["mask"].to_list(), dtype=bool)
    shown = show_crops(framed, rows, mask[rows])
    assert np.array_equal(shown, np.load(plain / "crops.npy")[rows])
    assert np.array_equal(show_crops(plain, rows, mask[rows]), shown)
    assert read_frame(plain, np.array(rows)) is None
