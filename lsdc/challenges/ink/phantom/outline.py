"""The outline of a fragment: a rounded piece with a jagged edge."""

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.phantom.waves import Waves

Mask = NDArray[np.bool_]

_EDGE = 0.045  # depth of the jags, as a share of the radius
_JAGS_PX = (60.0, 500.0)  # their lengths, in px of the full size
_BAND = 256


def draw_outline(rows: int, columns: int, scale: float, rng: np.random.Generator) -> Mask:
    """Draw the mask of a fragment, (rows, columns).

    Args:
        rows: rows of the frame.
        columns: columns of the frame.
        scale: full-size pixels in a pixel.
        rng: the random stream.
    """
    turns = np.arange(2, 6)
    lobes, phases = rng.normal(0, 0.05, len(turns)), rng.uniform(0, 2 * np.pi, len(turns))
    jags = Waves.draw(48, (_JAGS_PX[0] / scale, _JAGS_PX[1] / scale), rng)
    x = np.linspace(-1, 1, columns)
    y = np.linspace(-1, 1, rows)[:, None]
    mask = np.empty((rows, columns), dtype=bool)
    for first in range(0, rows, _BAND):
        end = min(first + _BAND, rows)
        down = y[first:end]
        angle = np.arctan2(down, x)
        radius = (down**4 + x**4) ** 0.25  # between a circle and the whole frame
        reach = 0.88 + sum(
            lobe * np.cos(turn * angle + phase)
            for turn, lobe, phase in zip(turns, lobes, phases, strict=True)
        )
        mask[first:end] = radius < reach + _EDGE * jags.on(first, end, columns)
    return mask
