"""Views: exact to the pixel there and back, and different from one another."""

import numpy as np
import pytest

from lsdc.challenges.ink.inference.views import turn_of, views_of

KINDS = {"flips": 4, "flips_and_layers": 8, "rotations": 4, "square": 8}


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_of_a_view_comes_back_to_the_pixels_it_is_of(kind: str) -> None:
    # Whole numbers: their sums over layers are the same in any order.
    tiles = np.random.default_rng(0).integers(0, 255, (3, 5, 16, 16)).astype(np.float32)
    for view in views_of(kind):
        assert np.array_equal(view.undo(view.show(tiles).sum(axis=1)), tiles.sum(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_views_are_all_different_and_the_first_changes_nothing(kind: str) -> None:
    tile = np.arange(3 * 16 * 16).reshape(3, 16, 16)
    shown = [view.show(tile) for view in views_of(kind)]
    assert len({each.tobytes() for each in shown}) == KINDS[kind] == len(shown)
    assert np.array_equal(shown[0], tile)


def test_neighbouring_tiles_get_different_views() -> None:
    def block(row: int, column: int, side: int, views: int) -> set[int]:
        steps = range(side)
        return {turn_of(row + down, column + right, views) for down in steps for right in steps}

    for row in range(5):
        for column in range(5):
            assert block(row, column, 2, 4) == set(range(4))
            assert block(row, column, 4, 8) == set(range(8))
