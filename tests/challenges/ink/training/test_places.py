"""Where tiles may lie."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lsdc.challenges.ink.training.places import Places, count_in_tiles, grid_over, grid_within
from lsdc.challenges.ink.volumes.volume import Form, Volume


def volume_of(mask: NDArray[np.bool_], ink: NDArray[np.bool_]) -> Volume:
    rows, columns = mask.shape
    pixels = np.zeros((rows, columns, 3), np.uint8)
    return Volume(Form("1", rows, columns, 3, 8), pixels, mask, ink)


@pytest.fixture
def volume() -> Volume:
    chance = np.random.default_rng(0)
    mask, ink = chance.random((2, 130, 100)) > 0.6
    return volume_of(mask, ink)


def covered(places: Places, shape: tuple[int, int], size: int) -> NDArray[np.int64]:
    """Return how often each pixel lies in the rows that count of a tile."""
    times = np.zeros(shape, np.int64)
    for row, column, first, end in zip(
        places.row, places.column, places.first_row, places.end_row, strict=True
    ):
        times[max(row, first) : min(row + size, end), column : column + size] += 1
    return times


def test_tiles_lie_within_the_rows_and_reach_all_edges(volume: Volume) -> None:
    places = grid_within(0, volume, (20, 111), 32, 20)
    assert places.row.min() == 20
    assert (places.row + 32).max() == 111
    assert (places.column + 32).max() == 100
    times = covered(places, (130, 100), 32)
    assert (times[20:111] > 0).all()
    assert not times[:20].any()
    assert not times[111:].any()


def test_a_grid_covers_each_pixel_once(volume: Volume) -> None:
    times = covered(grid_over(0, volume, (20, 111), 32), (130, 100), 32)
    assert (times[20:111] == 1).all()
    assert times.sum() == 91 * 100


@pytest.mark.parametrize("grid", [grid_within, grid_over])
def test_mask_and_ink_are_counted_in_the_rows_that_count(grid: object, volume: Volume) -> None:
    step = [24] if grid is grid_within else []
    places = grid(3, volume, (20, 111), 32, *step)  # type: ignore[operator]
    assert set(places.volume) == {3}
    assert volume.labels is not None
    for place in range(len(places)):
        row, column = int(places.row[place]), int(places.column[place])
        part = np.s_[max(row, 20) : min(row + 32, 111), column : column + 32]
        assert places.mask[place] == volume.mask[part].sum()
        assert places.ink[place] == volume.labels[part].sum()


def test_rows_that_are_too_few_have_no_tile(volume: Volume) -> None:
    assert len(grid_within(0, volume, (0, 31), 32, 8)) == 0
    assert len(grid_within(0, volume, (0, 32), 32, 200)) == 2  # both far edges of the columns


def test_a_frame_that_is_narrower_than_a_tile_has_one_column() -> None:
    some = np.ones((40, 20), dtype=bool)
    places = grid_within(0, volume_of(some, some), (0, 40), 32, 8)
    assert places.column.tolist() == [0, 0]
    assert places.mask.tolist() == [32 * 20] * 2


def test_places_are_joined_and_chosen(volume: Volume) -> None:
    one, other = (grid_over(number, volume, (0, 64), 32) for number in (0, 1))
    both = Places.join([one, other])
    assert both.volume.tolist() == [0] * len(one) + [1] * len(other)
    second = both.where(both.volume == 1)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(vars(second).values(), vars(other).values(), strict=True)
    )


def test_nothing_is_counted_without_labels() -> None:
    assert not count_in_tiles(None, (0, 64), [0, 32], [0], 32).any()
