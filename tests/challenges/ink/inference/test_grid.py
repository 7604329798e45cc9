"""The grid of tiles: nothing is left uncovered, and dropped edges are covered by others."""

import numpy as np
import pytest

from lsdc.challenges.ink.inference.grid import lay_grid, starts
from lsdc.challenges.ink.inference.weights import inner, tile_weights


@pytest.mark.parametrize("length", [1, 31, 32, 33, 95, 96, 100, 127])
@pytest.mark.parametrize("stride", [7, 16, 32])
def test_every_pixel_is_covered_up_to_the_far_edge(length: int, stride: int) -> None:
    covered = np.zeros(length + 64, bool)
    begin = starts(0, length, 32, stride)
    for start in begin:
        covered[start : start + 32] = True
    assert covered[:length].all()
    assert begin == sorted(set(begin))
    assert begin[-1] + 32 <= max(length, 32)


@pytest.mark.parametrize("rows", [(0, 100), (20, 70), (40, 100), (99, 100)])
@pytest.mark.parametrize("edge", [0, 4, 8])
def test_pixels_that_count_cover_the_rows_that_are_wanted(rows: tuple[int, int], edge: int) -> None:
    grid = lay_grid(*rows, (100, 77), size=32, stride=16, edge=edge)
    counted = np.zeros((200, 200), int)
    for row in grid.rows:
        for column in grid.columns:
            inside_rows, inside_columns = inner(grid, row, column)
            counted[
                row + inside_rows.start : row + inside_rows.stop,
                column + inside_columns.start : column + inside_columns.stop,
            ] += 1
    assert (counted[rows[0] : rows[1], :77] > 0).all()


def test_a_gaussian_falls_from_the_middle_and_never_to_zero() -> None:
    weights = tile_weights("gaussian", 64)
    assert weights.max() == 1
    assert weights[32, 32] > weights[32, 50] > weights[32, 60] > 0
    assert np.array_equal(weights, weights[::-1, ::-1])
    assert (tile_weights("flat", 64) == 1).all()
