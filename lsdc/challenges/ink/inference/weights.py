"""How much each pixel of a tile counts in the mean of the tiles that show it."""

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.inference.grid import Grid

_SIGMA = 1 / 8  # of a tile's size
_LEAST = 1e-3  # so that no pixel that counts loses its weight to rounding


def tile_weights(kind: str, size: int) -> NDArray[np.float32]:
    """Return the weights (size, size) of a tile's pixels, 'flat' or 'gaussian', of at most 1."""
    if kind == "flat":
        return np.ones((size, size), np.float32)
    away = np.arange(size) - (size - 1) / 2
    curve = np.exp(-(away**2) / (2 * (_SIGMA * size) ** 2))
    fallen: NDArray[np.float64] = np.outer(curve, curve) / curve.max() ** 2
    return np.maximum(fallen, _LEAST).astype(np.float32)


def inner(grid: Grid, row: int, column: int) -> tuple[slice, slice]:
    """Return the rows and columns of a tile that count: all, but for edges inside the fragment."""
    top, bottom, left, right = grid.sides(row, column)
    edge, size = grid.edge, grid.size
    return (
        slice(edge if top else 0, size - edge if bottom else size),
        slice(edge if left else 0, size - edge if right else size),
    )
