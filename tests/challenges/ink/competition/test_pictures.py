"""Masks and labels of every kind of PNG file that occurs give one mask."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsdc.challenges.ink.competition.pictures import picture_kind, picture_shape, read_mask
from lsdc.errors import DataError
from tests.challenges.ink.made_fragments import write_picture

KINDS = ("palette", "1 bit", "L1", "L255", "RGB", "RGB 0/1", "RGBA", "LA", "I;16")


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(1).random((600, 37)) < 0.4  # more rows than a band


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_gives_the_mask(tmp_path: Path, mask: np.ndarray, kind: str) -> None:
    path = write_picture(tmp_path / "mask.png", mask, kind)
    assert np.array_equal(read_mask(path), mask)
    assert picture_shape(path) == (600, 37)


def test_a_pixel_of_one_colour_is_set(tmp_path: Path, mask: np.ndarray) -> None:
    colours = np.zeros((*mask.shape, 3), dtype=np.uint8)
    colours[..., 2] = mask  # blue, 1 of 255: a grey value of 0
    Image.fromarray(colours).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), mask)


def test_a_palette_counts_by_its_colours_not_by_its_numbers(
    tmp_path: Path, mask: np.ndarray
) -> None:
    picture = Image.fromarray(mask.astype(np.uint8) + 3, mode="P")
    picture.putpalette([9, 9, 9] * 3 + [0, 0, 0, 200, 30, 30])
    picture.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), mask)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_pictures_beyond_the_limit_of_pillow_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: np.ndarray
) -> None:
    path = write_picture(tmp_path / "mask.png", mask)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", mask.size // 2 - 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    assert np.array_equal(read_mask(path), mask)


def test_damaged_missing_and_foreign_files_are_named(tmp_path: Path, mask: np.ndarray) -> None:
    path = write_picture(tmp_path / "mask.png", mask)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"mask\.png: cannot be read as a PNG picture"):
        read_mask(path)
    path.write_bytes(b"II*\0 no PNG")
    with pytest.raises(DataError, match=r"mask\.png: cannot be read as a PNG picture"):
        picture_kind(path)
    with pytest.raises(DataError, match=r"other\.png: no such file"):
        read_mask(tmp_path / "other.png")


def test_the_real_labels_have_a_palette(real_data: Path) -> None:
    path = real_data / "ink" / "inklabels-fragment1.png"
    assert (picture_kind(path), picture_shape(path)) == ("P", (8181, 6330))
    assert read_mask(path).sum() == 5_339_364
