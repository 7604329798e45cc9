"""What a column of pixels shows through the layers, by depth below or above the surface.

Depth is in layers from the surface, towards the air. Values are shares of the range of 16 bits.
Papyrus ends in a bright crest below the surface and a dark trough above it (the fringes of phase
contrast); then there is air. Ink strengthens both a little, as if it lifted the surface: the crest
is brighter and the trough darker. As the surface waves by more layers than this reaches, the ink's
bright and dark parts cancel out in each single layer, but not along the surface.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

_FINE = 16  # steps of the tables per layer
_REACH = 80  # layers on each side of the surface

# Mean, in the papyrus and in the air, and the fringes: place, width, height.
_PAPYRUS, _AIR = 0.378, 0.355
_CREST, _TROUGH = (-3.0, 2.0, 0.105), (4.0, 2.2, -0.095)
# Of the ink: place, width, and what it adds to the standard deviation, as a factor.
_INK_PLACE, _INK_WIDTH, _INK_SPREAD = -2.0, 1.5, 0.06
# Standard deviation in the papyrus, and in the air.
_ROUGH, _SMOOTH = 0.128, 0.022


@dataclass(frozen=True)
class Depth:
    """Tables by depth.

    Attributes:
        mean: the mean of bare papyrus.
        spread: the standard deviation of its texture.
        ink: what ink adds to the mean.
        ink_spread: what ink adds to the standard deviation, as a factor.
    """

    mean: Values
    spread: Values
    ink: Values
    ink_spread: Values

    @staticmethod
    def index(depth: Values) -> NDArray[np.intp]:
        """Return the places of depths, in layers from the surface, in the tables."""
        found = np.rint(depth * _FINE).astype(np.intp)
        found += _REACH * _FINE
        return np.clip(found, 0, 2 * _REACH * _FINE, out=found)


def depth_tables(strength: float) -> Depth:
    """Return the tables; the strength is the height of the ink's bright part."""
    d = np.arange(-_REACH * _FINE, _REACH * _FINE + 1) / _FINE
    inside = 1 / (1 + np.exp((d - 1.5) / 1.2))
    mean = _AIR + (_PAPYRUS - _AIR) * inside + _bump(d, *_CREST) + _bump(d, *_TROUGH)
    spread = _SMOOTH + (_ROUGH - _SMOOTH) * inside
    away = (d - _INK_PLACE) / _INK_WIDTH
    # The second derivative of a Gaussian: its sum over the layers is 0.
    ink = strength * (1 - away**2) * np.exp(-0.5 * away**2)
    tables = (mean, spread, ink, _INK_SPREAD * np.exp(-0.5 * away**2))
    return Depth(*(each.astype(np.float32) for each in tables))


def _bump(d: NDArray[np.float64], place: float, width: float, height: float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = height * np.exp(-0.5 * ((d - place) / width) ** 2)
    return found
