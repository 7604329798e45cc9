"""Cracks: winding lines along which the papyrus is missing, so that the surface lies deeper.

Each starts anywhere and goes on in steps, mostly ahead. Its walls are sloping; at its deepest it is
as deep as a good part of the layers, or as all that are below the surface.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Cracks = NDArray[np.uint8]

STEPS = 4  # in a layer, of the depth of a crack
_AREA_PX = 4.5e6  # of the frame, for one crack: seven of the competition's fragment 1 are long
# In px of the full size.
_LENGTH_PX, _WIDTH_PX, _STEP_PX = (1_000.0, 4_000.0), (16.0, 48.0), 80.0
_DEPTH_LAYERS = (15.0, 45.0)
_TURN = 0.35  # standard deviation of a step's direction, in radians
_WALL = 0.25  # of the slope's width, as a share of the crack's
_SHIFT = 4  # bits of cv2's fractions of a pixel


def draw_cracks(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Cracks:
    """Draw how much deeper the surface lies, (rows, columns), in `STEPS` a layer.

    Args:
        shape: rows and columns of the frame.
        scale: full-size pixels in a pixel.
        rng: the random stream.
    """
    rows, columns = shape
    depth = np.zeros(shape, dtype=np.uint8)
    for _ in range(max(1, round(rows * columns * scale**2 / _AREA_PX))):
        line = _walk((columns, rows), scale, rng)
        width = rng.uniform(*_WIDTH_PX) / scale
        deep = round(rng.uniform(*_DEPTH_LAYERS) * STEPS)
        _draw(depth, line, width, deep)
    return depth


def _walk(size: tuple[int, int], scale: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the points of a winding line, (n, 2), as x and y; parts may lie outside."""
    start = rng.uniform(0, size)
    steps = int(rng.uniform(*_LENGTH_PX) / _STEP_PX)
    # Turns are about the crack's own direction, so that it does not curl.
    angles = rng.uniform(0, 2 * np.pi) + rng.normal(0, _TURN, steps)
    ahead = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (_STEP_PX / scale)
    return np.concatenate([[start], start + np.cumsum(ahead, axis=0)])


def _draw(depth: Cracks, line: NDArray[np.float64], width: float, deep: int) -> None:
    """Draw one crack into the box that holds it; the deeper one counts where two cross."""
    margin = 2 * width + 2
    low = np.floor(line.min(axis=0) - margin).astype(int).clip(0)
    high = np.ceil(line.max(axis=0) + margin).astype(int)
    box = depth[low[1] : high[1], low[0] : high[0]]
    if not box.size:
        return
    own = np.zeros_like(box)
    points = np.round((line - low) * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(own, [points], False, deep, max(1, round(width)), cv2.LINE_8, _SHIFT)
    np.maximum(box, cv2.GaussianBlur(own, (0, 0), max(0.3, _WALL * width)), out=box)
