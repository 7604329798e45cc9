"""Fibre texture: random fields whose correlation falls as that of real papyrus.

Along rows and columns, a field is a first-order autoregressive process, whose correlation is
exp(-distance / length); so it is drawn band by band, however large the frame. Three fields are
added: grains of fibre, longer along the fibres than across; and long thin fibres of both directions
of a sheet, which keep pixels alike over large distances. Through the layers the sum is smoothed by
a Gaussian.

With the lengths below, layer 32 of a fragment without its waves is near that of the competition's
fragment 1: at 1, 2, 5, 13 and 20 px of a picture at 1/5.42 of full size, correlations of 0.82,
0.62, 0.37, 0.14 and 0.10 along the fibres, and of 0.67, 0.43, 0.20, 0.10 and 0.09 across. Over 1,
2, 3, 5 and 8 layers they are as in a scroll: 0.95, 0.82, 0.65, 0.34 and 0.08.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from lsdc.challenges.ink.vocabulary import LAYERS

Field = NDArray[np.float32]

_DEPTH_SIGMA = 2.27  # layers
_PAD = 8  # layers beyond the first and the last that their smoothing needs
# Correlation lengths along and across the fibres, in px of the full size; share of the variance.
_FIELDS = ((22.6, 7.6, 0.7), (813.0, 7.0, 0.15), (7.0, 813.0, 0.15))


@dataclass
class Autoregressive:
    """A field of unit variance, drawn in bands of rows from the top.

    Attributes:
        depth: the number of independent planes.
        columns: the number of columns.
        down_px, right_px: the correlation lengths along columns and rows.
        rng: the random stream.
    """

    depth: int
    columns: int
    down_px: float
    right_px: float
    rng: np.random.Generator
    _last: Field | None = field(default=None, init=False)

    def draw(self, rows: int) -> Field:
        """Draw the next rows, (depth, rows, columns)."""
        noise = self.rng.standard_normal((self.depth, rows, self.columns), dtype=np.float32)
        before = self.rng.standard_normal((self.depth, rows, 1), dtype=np.float32)
        values = _recurse(noise, before, self.right_px, axis=2)
        if self._last is None:  # the row above the first one
            above = self.rng.standard_normal((self.depth, 1, self.columns), dtype=np.float32)
            corner = self.rng.standard_normal((self.depth, 1, 1), dtype=np.float32)
            self._last = _recurse(above, corner, self.right_px, axis=2)
        values = _recurse(values, self._last, self.down_px, axis=1)
        self._last = values[:, -1:].copy()
        return values


class Texture:
    """The texture of one fragment, of unit variance, drawn in bands of rows from the top."""

    def __init__(
        self, columns: int, scale: float, rng: np.random.Generator, *, turned: bool
    ) -> None:
        """Start at the top.

        Args:
            columns: the number of columns.
            scale: full-size pixels in a pixel.
            rng: the random stream.
            turned: whether fibres run along columns rather than along rows.
        """
        lengths = [(along / scale, across / scale) for along, across, _ in _FIELDS]
        self._fields = [
            Autoregressive(LAYERS + 2 * _PAD, columns, down, right, rng)
            for right, down in (pair[::-1] if turned else pair for pair in lengths)
        ]
        self._shares = [np.float32(np.sqrt(share)) for *_, share in _FIELDS]
        self._smoothing = _smoothing_matrix()

    def draw(self, rows: int) -> Field:
        """Draw the next rows, (layers, rows, columns)."""
        total = sum(
            share * each.draw(rows) for share, each in zip(self._shares, self._fields, strict=True)
        )
        found: Field = np.tensordot(self._smoothing, total, axes=1)
        return found


def _recurse(values: Field, before: Field, length_px: float, axis: int) -> Field:
    """Return x[n] = r x[n - 1] + sqrt(1 - r^2) values[n] along an axis; `before` is x[-1]."""
    r = float(np.exp(-1 / length_px))
    gain, kept = (np.array(each, dtype=np.float32) for each in ([(1 - r * r) ** 0.5], [1, -r]))
    found, _ = lfilter(gain, kept, values, axis=axis, zi=np.float32(r) * before)
    return np.asarray(found, dtype=np.float32)


def _smoothing_matrix() -> Field:
    """Return (layers, layers + 2 pad) Gaussian weights that keep unit variance."""
    away = np.arange(LAYERS + 2 * _PAD) - _PAD - np.arange(LAYERS)[:, None]
    weights = np.exp(-0.5 * (away / _DEPTH_SIGMA) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights.astype(np.float32)
