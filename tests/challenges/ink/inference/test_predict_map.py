"""A map of probabilities: seamless, aligned, complete, and gone on with after a kill."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsdc.challenges.ink.inference.predict_map import Predict, predict_map
from tests.challenges.ink.inference.small_volume import (
    SmallVolume,
    brightness,
    experiment_of,
    noise,
)

LAYERS = slice(2, 6)  # of `experiment_of`
SEAMLESS = [
    [],
    ["inference.weights=gaussian"],
    ["inference.edge_px=8"],
    ["inference.edge_px=5", "inference.stride_px=11", "inference.weights=gaussian"],
    ["inference.tta=full", "inference.views=square"],
    ["inference.layer_shifts=[-2, 0, 2]"],
]


def predict(
    volume: SmallVolume,
    out: Path,
    *settings: str,
    rows: tuple[int, int] | None = None,
    model: Predict = brightness,
    **options: Any,
) -> NDArray[np.float16]:
    """Return the map of an experiment with these settings."""
    wanted = rows or (0, volume.shape[0])
    options = {"identity": "the model"} | options
    predict_map(volume, wanted, model, experiment_of(*settings), out, **options)
    return np.load(out)


@pytest.mark.parametrize("settings", SEAMLESS)
@pytest.mark.parametrize("shape", [(100, 77), (64, 64), (20, 90)])
def test_a_constant_model_gives_a_constant_map(
    settings: list[str], shape: tuple[int, int], tmp_path: Path
) -> None:
    def constant(tiles: NDArray[Any]) -> NDArray[np.float32]:
        return np.full((len(tiles), *tiles.shape[-2:]), 0.3, np.float32)

    found = predict(noise(*shape), tmp_path / "map.npy", *settings, model=constant)
    assert found.shape == shape
    assert (found == np.float16(0.3)).all()


@pytest.mark.parametrize("kind", ["flips", "flips_and_layers", "rotations", "square"])
@pytest.mark.parametrize("tta", ["in_turn", "full"])
def test_pixels_lie_where_they_were_after_every_view(tta: str, kind: str, tmp_path: Path) -> None:
    volume = noise(90, 70)
    settings = [f"inference.tta={tta}", f"inference.views={kind}", "inference.edge_px=3"]
    found = predict(volume, tmp_path / "map.npy", *settings)
    truth = volume.pixels[..., LAYERS].mean(axis=2) / 255
    assert np.abs(found - truth).max() < 1e-3  # of float16


def test_the_window_of_layers_moves_by_each_shift(tmp_path: Path) -> None:
    volume = noise(40, 40)
    found = predict(volume, tmp_path / "map.npy", "inference.layer_shifts=[-1, 2]")
    each = [volume.pixels[..., slice(2 + by, 6 + by)].mean(axis=2) for by in (-1, 2)]
    assert np.abs(found - np.mean(each, axis=0) / 255).max() < 1e-3


def test_a_far_edge_off_the_grid_is_covered(tmp_path: Path) -> None:
    volume = noise(67, 45)
    found = predict(volume, tmp_path / "map.npy", "inference.stride_px=32", "inference.tta=none")
    assert (found[-3:] > 0).all()
    assert (found[:, -3:] > 0).all()


def test_a_band_is_the_same_part_of_the_whole_map_where_tiles_are_the_same(tmp_path: Path) -> None:
    volume = noise(128, 64)
    whole = predict(volume, tmp_path / "whole.npy")
    band = predict(volume, tmp_path / "band.npy", rows=(32, 96))
    assert band.shape == (64, 64)
    assert np.abs(band - whole[32:96]).max() < 1e-3


def test_nothing_is_predicted_outside_the_mask(tmp_path: Path) -> None:
    mask = np.zeros((96, 96), bool)
    mask[10:20, 40:90] = True
    volume = SmallVolume(noise(96, 96).pixels, mask)
    seen: list[int] = []

    def counting(tiles: NDArray[Any]) -> NDArray[np.float32]:
        seen.append(len(tiles))
        return brightness(tiles)

    found = predict(volume, tmp_path / "map.npy", model=counting)
    assert np.array_equal(found > 0, mask)
    # Of 5 x 5 tiles those whose first 20 of rows, and columns from 40 to 90, meet the mask.
    assert sum(seen) == 2 * 4
    assert max(seen) <= 3  # a batch


def test_tiles_in_turn_get_one_view_each(tmp_path: Path) -> None:
    seen: list[NDArray[Any]] = []

    def counting(tiles: NDArray[Any]) -> NDArray[np.float32]:
        seen.extend(tiles)
        return brightness(tiles)

    volume = noise(64, 64)
    predict(volume, tmp_path / "map.npy", "inference.views=flips", model=counting)
    assert len(seen) == 9
    predict(volume, tmp_path / "full.npy", "inference.tta=full", model=counting)
    assert len(seen) == 9 + 4 * 9


def test_progress_ends_with_all_tiles(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    predict(noise(70, 70), tmp_path / "map.npy", on_tiles=lambda *each: told.append(each))
    done = [each for each, _ in told]
    assert done == sorted(done)
    assert told[-1] == (16, 16)


class Killed(BaseException):
    """What ends a prediction here, in place of a signal."""


@pytest.mark.parametrize("after", [1, 4, 8])
def test_a_killed_prediction_goes_on_and_gives_the_same_bits(after: int, tmp_path: Path) -> None:
    volume = noise(150, 64)
    whole = predict(volume, tmp_path / "whole.npy", "inference.weights=gaussian")
    batches = [0]

    def dying(tiles: NDArray[Any]) -> NDArray[np.float32]:
        batches[0] += 1
        if batches[0] > after:
            raise Killed
        return brightness(tiles)

    out = tmp_path / "map.npy"
    with pytest.raises(Killed):
        predict(volume, out, "inference.weights=gaussian", model=dying, save_seconds=0.0)
    assert not out.exists()
    again = [0]

    def counting(tiles: NDArray[Any]) -> NDArray[np.float32]:
        again[0] += 1
        return brightness(tiles)

    found = predict(volume, out, "inference.weights=gaussian", model=counting)
    assert np.array_equal(found, whole)
    assert again[0] <= 9 - after + 1  # a row of tiles is a batch of three; there are nine
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.npy", "whole.npy"]


def test_what_another_model_left_is_not_gone_on_from(tmp_path: Path) -> None:
    volume, out = noise(96, 64), tmp_path / "map.npy"

    def dying(tiles: NDArray[Any]) -> NDArray[np.float32]:
        if volume_seen:
            raise Killed
        volume_seen.append(len(tiles))
        return np.ones((len(tiles), *tiles.shape[-2:]), np.float32)

    volume_seen: list[int] = []
    with pytest.raises(Killed):
        predict(volume, out, model=dying, save_seconds=0.0, identity="another model")
    found = predict(volume, out)
    assert found.max() < 1
