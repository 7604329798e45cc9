from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.slices.hounsfield import WRAPPED
from lsdc.challenges.hemorrhage.slices.prepare import count_bytes, join_shards, prepare_shard
from tests.challenges.hemorrhage.slices.made_slices import (
    list_images,
    prepare_slices,
    write_slice,
)

CONFIG = SlicesConfig(windows=((40, 80), (80, 200)), size_px=16)
FILES = ("slices.npy", "slices.parquet", "quarantine.parquet")
STUDIES = {"ID_c": 4, "ID_a": 3, "ID_b": 2}


def planted_hu(study: int, order: int) -> int:
    """Return the HU of the lower half of a slice; the upper half is air."""
    return 10 * study + order


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Nine slices of three studies, listed in random order; the file of ID_b's first is cut."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for number, (study, count) in enumerate(STUDIES.items()):
        for order in range(count):
            hu = np.full((32, 32), -1000, np.int16)
            hu[16:] = planted_hu(number, order)
            name = f"ID_{7 * (number * 10 + order) % 31:x}"
            path = folder / f"{name}.dcm"
            if number == 1:  # signed, with padding outside a round field of view
                stored = hu + 1024
                stored[0] = -2000
                write_slice(path, stored)
            else:
                write_slice(path, (hu + 1024).astype(np.uint16), bits=12)
            rows.append(
                {
                    "path": str(path),
                    "image_id": name,
                    "study_id": study,
                    "patient": f"patient {number}",
                    "bits_stored": 16 if number == 1 else 12,
                    "order": order,
                    "along_mm": 4.7 * order,
                    "step_mm": 4.7 if order < count - 1 else None,
                }
            )
    cut = Path(next(row["path"] for row in rows if (row["study_id"], row["order"]) == ("ID_b", 0)))
    cut.write_bytes(cut.read_bytes()[:-100])
    return list_images(rows).sample(fraction=1, shuffle=True, seed=1)


@pytest.fixture(scope="module")
def prepared(images: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    prepare_slices(images, CONFIG, out)
    return out


def test_slices_stand_by_study_in_the_order_of_the_stack(
    images: pl.DataFrame, prepared: Path
) -> None:
    slices = pl.read_parquet(prepared / "slices.parquet")
    expected = images.sort("study_id", "order").filter(
        ~((pl.col("study_id") == "ID_b") & (pl.col("order") == 0))
    )
    for column in ("image_id", "study_id", "series_id", "patient", "along_mm", "step_mm"):
        assert slices[column].to_list() == expected[column].to_list()
    assert slices["order"].to_list() == [0, 1, 2, 1, 0, 1, 2, 3]
    assert slices["row"].to_list() == list(range(8))
    assert slices["corrected"].null_count() == 8


def test_each_row_holds_its_own_image_in_every_window(prepared: Path) -> None:
    array = np.load(prepared / "slices.npy", mmap_mode="r")
    assert (array.shape, array.dtype) == ((8, 2, 16, 16), np.uint8)
    numbers = {study: number for number, study in enumerate(STUDIES)}
    for row, study, order in (
        pl.read_parquet(prepared / "slices.parquet").select("row", "study_id", "order").iter_rows()
    ):
        hu = planted_hu(numbers[study], order)
        assert not array[row, :, :8].any()
        for channel, (black, width) in zip(array[row], ((0, 80), (-20, 200)), strict=True):
            assert np.abs(channel[8:] - (hu - black) * 255 / width).max() <= 0.501


def test_a_cut_file_is_one_row_in_quarantine(images: pl.DataFrame, prepared: Path) -> None:
    (bad,) = pl.read_parquet(prepared / "quarantine.parquet").rows(named=True)
    own = images.filter(study_id="ID_b", order=0)
    assert (bad["path"], bad["stage"]) == (own["path"][0], "slices")
    assert "bytes" in bad["reason"]


def test_a_file_without_a_scale_of_hu_is_quarantined(tmp_path: Path) -> None:
    rows = []
    for order, slope in enumerate(("1", "1e-300")):
        path = tmp_path / f"{order}.dcm"
        write_slice(path, np.full((16, 16), 1064, np.int16), RescaleSlope=slope)
        rows.append({"path": str(path), "image_id": slope, "study_id": "ID_a", "order": order})
    array, slices = prepare_slices(list_images(rows), CONFIG, tmp_path / "out")
    assert (len(array), slices["image_id"].to_list()) == (1, ["1"])
    quarantine = pl.read_parquet(tmp_path / "out/quarantine.parquet")
    assert quarantine["path"].to_list() == [rows[1]["path"]]


def test_disk_space_is_known_before(images: pl.DataFrame, prepared: Path) -> None:
    header = 128
    assert count_bytes(images, CONFIG) == 9 * 2 * 16 * 16
    assert (prepared / "slices.npy").stat().st_size == 8 * 2 * 16 * 16 + header


@pytest.mark.parametrize(("portions", "processes"), [([1, 2], 1), ([0, 1, 1, 1], 2)])
def test_shards_and_processes_change_no_byte(
    portions: list[int], processes: int, images: pl.DataFrame, prepared: Path, tmp_path: Path
) -> None:
    studies, shards = sorted(STUDIES), []
    for number, count in enumerate(portions):
        own, studies = studies[:count], studies[count:]
        shards.append(tmp_path / str(number))
        shards[-1].mkdir()
        some = images.filter(pl.col("study_id").is_in(own))
        heard: list[tuple[int, int]] = []
        prepare_shard(
            some,
            CONFIG,
            shards[-1],
            processes=processes,
            on_progress=lambda *done, heard=heard: heard.append(done),
        )
        assert heard == [(done + 1, count) for done in range(count)]
    out = tmp_path / "out"
    out.mkdir()
    assert join_shards(shards, out, files=len(images)) == 8
    for name in FILES:
        assert (out / name).read_bytes() == (prepared / name).read_bytes()


def test_a_lost_sign_is_mended_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hu = np.full((16, 16), -1010, np.int16)
    hu[8:] = 40
    wrapped = write_slice(
        tmp_path / "a.dcm", (hu % 4096).astype(np.uint16), bits=12, RescaleIntercept="0"
    )
    usual = write_slice(tmp_path / "b.dcm", (hu + 1024).astype(np.uint16), bits=12)
    images = list_images(
        [
            {"path": str(path), "image_id": path.stem, "study_id": "ID_a", "order": order}
            | {"bits_stored": 12}
            for order, path in enumerate((wrapped, usual))
        ]
    )
    array, slices = prepare_slices(images, CONFIG, tmp_path / "out")
    assert slices["corrected"].to_list() == [WRAPPED, None]
    assert "1 slice mended as two's complement" in caplog.text
    np.testing.assert_array_equal(array[0], array[1])
    assert slices["content"].to_list() == [0.5, 0.5]


def test_the_ways_of_the_published_experiments_are_settings(tmp_path: Path) -> None:
    hu = np.full((48, 40), -1000, np.int16)
    hu[10:43, 5:38] = 20
    hu[20:25, 10:20] = 60
    path = write_slice(tmp_path / "a.dcm", hu + 1024, WindowCenter=["50", "300"])
    row = {"path": str(path), "image_id": "a", "study_id": "ID_a", "order": 0}
    header = {"window_centers": [50.0, 300.0], "window_widths": [100.0, 1500.0]}
    images = list_images([row | header])

    plain = SlicesConfig(window="header", stretch="none", size_px=48)
    (slice_,), _ = prepare_slices(images, plain, tmp_path / "header")
    assert slice_.shape == (1, 48, 48)
    np.testing.assert_array_equal(slice_[0, :, 4:44], np.clip(hu, 0, 100))

    own = SlicesConfig(
        windows=((40, 80), (80, 200)), stretch="image", crop="background", size_px=32
    )
    (slice_,), _ = prepare_slices(images, own, tmp_path / "crop")
    box = hu[10:42, 5:37]
    for channel, (black, white) in zip(slice_, ((0, 60), (-20, 60)), strict=True):
        assert np.abs(channel - np.clip((box - black) / (white - black), 0, 1) * 255).max() <= 0.501
