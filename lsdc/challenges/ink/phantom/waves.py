"""Smooth noise in the plane: a sum of plane waves of random directions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Waves:
    """Noise of unit variance at any pixel of a frame.

    Attributes:
        vectors: (n, 2) wave vectors along rows and columns, radians per pixel.
        phases: (n,) radians.
    """

    vectors: NDArray[np.float64]
    phases: NDArray[np.float64]

    @classmethod
    def draw(cls, count: int, lengths_px: tuple[float, float], rng: np.random.Generator) -> "Waves":
        """Draw waves of lengths between two bounds."""
        angles = rng.uniform(0, 2 * np.pi, count)
        lengths = rng.uniform(*lengths_px, (count, 1))
        directions = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        return cls(directions * (2 * np.pi / lengths), rng.uniform(0.0, 2 * np.pi, count))

    def on(self, first: int, end: int, columns: int) -> Plane:
        """Return the noise on some rows of a frame, (end - first, columns)."""
        total = np.zeros((end - first, columns), dtype=np.float32)
        # sin(a + b) from the sines and cosines of rows and of columns: few sines in all.
        for (down, right), phase in zip(self.vectors, self.phases, strict=True):
            a = (np.arange(first, end) * down + phase)[:, None]
            b = np.arange(columns) * right
            total += np.sin(a).astype(np.float32) * np.cos(b).astype(np.float32)
            total += np.cos(a).astype(np.float32) * np.sin(b).astype(np.float32)
        total *= np.float32(np.sqrt(2 / len(self.phases)))
        return total
