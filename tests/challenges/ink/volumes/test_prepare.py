"""Volumes: every kind of TIFF gives the pixels, in any shards, within little memory."""

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from lsdc.challenges.ink.competition.tables import Fragment
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.challenges.ink.volumes import prepare
from lsdc.challenges.ink.volumes.layers import open_layer, require_frames
from lsdc.challenges.ink.volumes.prepare import (
    Bits,
    count_bytes,
    join_shards,
    list_units,
    prepare_shard,
    write_pictures,
)
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.errors import DataError, StageError
from tests.challenges.ink.made_fragments import write_fragment, write_layers, write_picture

ROWS, COLUMNS = 150, 70
KINDS: list[dict[str, Any]] = [
    {},
    {"byteorder": ">"},
    {"rowsperstrip": 11},
    {"compression": "lzw", "rowsperstrip": 7},
    {"compression": "lzw", "predictor": True, "tile": (64, 64)},
    {"compression": "lzw", "byteorder": ">", "rowsperstrip": ROWS},  # one strip
    {"compression": "zlib", "tile": (16, 32)},
    {"compression": "packbits", "rowsperstrip": 1},
]


@pytest.fixture(autouse=True)
def _small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the small fragments as large ones are: units of 16 rows, bands of 40."""
    row_bytes = 2 * LAYERS * COLUMNS
    monkeypatch.setattr(prepare, "_UNIT_BYTES", 16 * row_bytes)
    monkeypatch.setattr(prepare, "_BAND_BYTES", 40 * row_bytes)


def draw_volume(dtype: type[np.unsignedinteger[Any]], seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(
        0, np.iinfo(dtype).max, (LAYERS, ROWS, COLUMNS), endpoint=True
    )
    return drawn.astype(dtype)


def write(root: Path, name: str, volume: np.ndarray, **options: Any) -> Fragment:
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask[5:-9, 3:] = True
    labels = np.random.default_rng(1).random(mask.shape) < 0.1
    fragment = write_fragment(root, name, "train", mask, labels & mask)
    write_layers(fragment.folder, volume, **options)
    return fragment


def prepared(
    fragments: Sequence[Fragment], out: Path, bits: Bits = 16, units_a_shard: int = 10**6
) -> Path:
    units, shards = sorted(list_units(fragments)), []
    for first in range(0, len(units), units_a_shard):
        shards.append(out / f"shard-{first:03}")
        shards[-1].mkdir(parents=True)
        prepare_shard(fragments, units[first : first + units_a_shard], bits, shards[-1])
    (out / "joined").mkdir()
    assert join_shards(fragments, shards, out / "joined", bits=bits) == len(fragments)
    return out / "joined"


def refusal(fragment: Fragment, out: Path) -> str:
    with pytest.raises(DataError) as caught:
        prepared([fragment], out)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(fragment.folder))
    assert message == message.strip()
    return message.removeprefix(f"{fragment.folder}/")


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_file_gives_the_pixels(
    tmp_path: Path, dtype: type[np.unsignedinteger[Any]], number: int
) -> None:
    volume = draw_volume(dtype)
    fragment = write(tmp_path, "1", volume, **KINDS[number])
    bits: Bits = 16 if dtype is np.uint16 else 8
    found = Volume.open(prepared([fragment], tmp_path / "out", bits) / "1")
    assert found.shape == (ROWS, COLUMNS, LAYERS)
    assert found.pixels.dtype == dtype
    assert np.array_equal(found.pixels, volume.transpose(1, 2, 0))


def test_shards_of_any_size_give_the_same_bytes(tmp_path: Path) -> None:
    fragments = [
        write(tmp_path, "1", draw_volume(np.uint16), compression="lzw", rowsperstrip=ROWS),
        write(tmp_path, "10", draw_volume(np.uint16, 1), compression="zlib", rowsperstrip=9),
        write(tmp_path, "2", draw_volume(np.uint16, 2)),
    ]
    whole = prepared(fragments, tmp_path / "whole")
    parts = prepared(fragments, tmp_path / "parts", units_a_shard=7)
    files = [path.relative_to(whole) for path in sorted(whole.rglob("*.*"))]
    assert len(files) == 12
    for file in files:
        assert (whole / file).read_bytes() == (parts / file).read_bytes()
    size = sum((whole / file).stat().st_size for file in files if file.suffix == ".npy")
    assert 0 <= size - count_bytes(fragments, 16) < 9 * 200  # headers


def test_a_name_may_begin_with_another_and_a_point(tmp_path: Path) -> None:
    volumes = [draw_volume(np.uint16, seed) for seed in (0, 1)]
    fragments = [write(tmp_path, *each) for each in zip(("a*", "a*.b"), volumes, strict=True)]
    joined = prepared(fragments, tmp_path / "out", units_a_shard=7)
    for fragment, volume in zip(fragments, volumes, strict=True):
        found = Volume.open(joined / fragment.name).tile(0, 0, ROWS)[:, :COLUMNS]
        assert (found == volume.transpose(1, 2, 0)).all()


def test_short_memory_is_no_damage_of_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragment = write(tmp_path, "1", draw_volume(np.uint16), compression="lzw")

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(lambda _: fail))
    with pytest.raises(MemoryError):
        prepared([fragment], tmp_path / "out")


def test_8_bits_are_the_upper_ones_and_16_the_whole_range(tmp_path: Path) -> None:
    volume = draw_volume(np.uint16)
    coarse = Volume.open(prepared([write(tmp_path, "1", volume)], tmp_path / "8", 8) / "1")
    assert np.array_equal(coarse.pixels, volume.transpose(1, 2, 0) >> 8)
    volume = draw_volume(np.uint8)
    fine = Volume.open(prepared([write(tmp_path, "2", volume)], tmp_path / "16", 16) / "2")
    assert np.array_equal(fine.pixels, volume.transpose(1, 2, 0) * np.uint16(257))


def test_progress_counts_units_up_to_their_total(tmp_path: Path) -> None:
    fragment = write(tmp_path, "1", draw_volume(np.uint8))
    units, told = list_units([fragment]), list[tuple[int, int]]()
    prepare_shard([fragment], units, 8, tmp_path, on_progress=lambda *now: told.append(now))
    assert len(units) == 10
    assert told == sorted(told)
    assert told[0][0] < told[-1][0]
    assert told[-1] == (10, 10)


def test_tiles_have_zeros_outside_of_the_frame(tmp_path: Path) -> None:
    volume = draw_volume(np.uint16)
    found = Volume.open(prepared([write(tmp_path, "1", volume)], tmp_path / "out") / "1")
    padded = np.pad(volume.transpose(1, 2, 0), ((40, 40), (40, 40), (0, 0)))
    for row, column in ((0, 0), (10, 20), (-7, 50), (140, -31), (-40, 69), (-32, 0), (150, 3)):
        top, left = row + 40, column + 40
        tile = found.tile(row, column, 32)
        assert np.array_equal(tile, padded[top : top + 32, left : left + 32])
        assert found.mask_tile(row, column, 32).shape == (32, 32)
    assert found.labels is not None
    assert np.array_equal(found.label_tile(10, 20, 32), found.labels[10:42, 20:52])


def test_layers_of_another_size_or_type_are_named(tmp_path: Path) -> None:
    fragment = write(tmp_path, "1", draw_volume(np.uint16))
    path = fragment.folder / "surface_volume" / "41.tif"
    cases = {
        "41.tif: 140 rows by 70 columns, expected 150 rows by 70": np.zeros((140, 70), np.uint16),
        "41.tif: uint8, expected uint16 as in 00.tif": np.zeros((ROWS, COLUMNS), np.uint8),
        "41.tif: float32 (150, 70)": np.zeros((ROWS, COLUMNS), np.float32),
        "41.tif: uint8 (150, 70, 3) (RGB)": np.zeros((ROWS, COLUMNS, 3), np.uint8),
    }
    for fault, layer in cases.items():
        tifffile.imwrite(path, layer)
        assert refusal(fragment, tmp_path / fault[:30]).startswith(f"surface_volume/{fault}")
        with pytest.raises(DataError):
            require_frames((fragment,))


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_damaged_layers_are_named(tmp_path: Path, number: int) -> None:
    fragment = write(tmp_path, "1", draw_volume(np.uint16), **KINDS[number])
    path = fragment.folder / "surface_volume" / "07.tif"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = refusal(fragment, tmp_path / "cut")
    assert message.startswith("surface_volume/07.tif: ")
    assert message.endswith("copy it again")
    path.write_bytes(b"\x89PNG no TIFF at all")
    message = refusal(fragment, tmp_path / "foreign")
    assert message.startswith("surface_volume/07.tif: cannot be read as a TIFF file")


@pytest.mark.parametrize("kind", [KINDS[3], KINDS[6]])
def test_damaged_strips_are_named(tmp_path: Path, kind: dict[str, Any]) -> None:
    fragment = write(tmp_path, "1", draw_volume(np.uint16), **kind)
    path = fragment.folder / "surface_volume" / "07.tif"
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[2], file.pages[0].databytecounts[2]
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = b"\xff" * size
    path.write_bytes(content)
    message = refusal(fragment, tmp_path / "out")
    assert message.startswith("surface_volume/07.tif: the TIFF file is damaged (strip or tile 2")


def test_an_empty_mask_and_a_missing_shard_are_refused(tmp_path: Path) -> None:
    fragment = write(tmp_path, "1", draw_volume(np.uint8))
    units = list_units([fragment])
    (tmp_path / "shard").mkdir()
    prepare_shard([fragment], units[:-1], 8, tmp_path / "shard")
    (tmp_path / "out").mkdir()
    with pytest.raises(StageError, match="shards of fragment train/1 have 144 rows, expected 150"):
        join_shards([fragment], [tmp_path / "shard"], tmp_path / "out", bits=8)
    write_picture(fragment.mask, np.zeros((ROWS, COLUMNS), dtype=bool))
    assert refusal(fragment, tmp_path / "again").startswith("mask.png: no pixel is set")


def peak_bytes(action: Callable[[], object]) -> int:
    """Return the peak of what Python and NumPy allocate; pictures are decoded elsewhere."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_layer_in_one_strip_is_in_memory_once(tmp_path: Path) -> None:
    layer = np.zeros((2000, 1000), dtype=np.uint16)
    path = tmp_path / "00.tif"
    tifffile.imwrite(path, layer, compression="lzw", rowsperstrip=2000)
    with open_layer(path) as opened:
        assert peak_bytes(lambda: opened.segment_row(0)) < 1.2 * layer.nbytes


def test_a_picture_is_written_in_bands(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((12_000, 500)) < 0.5
    fragment = write_fragment(tmp_path, "1", "train", mask)
    write_picture(fragment.mask, mask, "RGB")
    assert peak_bytes(lambda: write_pictures(fragment, tmp_path)) < 0.6 * mask.nbytes
    for name in ("mask.npy", "labels.npy"):
        assert np.array_equal(np.load(tmp_path / name), mask)


def test_a_folder_without_a_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prepared volume .* prepare the volumes again"):
        Volume.open(tmp_path)
    folder = prepared([write(tmp_path, "1", draw_volume(np.uint8))], tmp_path / "out", 8) / "1"
    np.save(folder / "mask.npy", np.ones((3, 4), dtype=bool))
    with pytest.raises(DataError, match=r"mask.npy: bool \(3, 4\), expected bool \(150, 70\)"):
        Volume.open(folder)
