"""Smooth noise in space: a sum of plane waves of random directions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.phantom.canvas import Field, Grid


@dataclass(frozen=True)
class Waves:
    """Noise of unit variance at any point of the head's frame.

    Attributes:
        vectors: (n, 3) wave vectors, radians per mm.
        phases: (n,) radians.
    """

    vectors: NDArray[np.float64]
    phases: NDArray[np.float64]

    @classmethod
    def draw(cls, count: int, lengths_mm: tuple[float, float], rng: np.random.Generator) -> "Waves":
        """Draw waves of lengths between two bounds."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = rng.uniform(*lengths_mm, (count, 1))
        return cls(directions * (2 * np.pi / lengths), rng.uniform(0.0, 2 * np.pi, count))

    def on(self, grid: Grid) -> Field:
        """Return the noise on a grid, (rows, columns, depths)."""
        rows, columns = grid.shape
        total = np.zeros((rows, columns, len(grid.origins_mm)), dtype=np.float32)
        # sin(a + b) from the sines and cosines of rows and of columns: few sines in all.
        for vector, phase in zip(self.vectors, self.phases, strict=True):
            across = (np.arange(columns) * (grid.across_mm @ vector))[:, None]
            across = across + (grid.origins_mm @ vector + phase)
            down = (np.arange(rows) * (grid.down_mm @ vector))[:, None, None]
            sine, cosine = np.sin(across).astype(np.float32), np.cos(across).astype(np.float32)
            total += np.sin(down).astype(np.float32) * cosine
            total += np.cos(down).astype(np.float32) * sine
        total *= np.float32(np.sqrt(2 / len(self.phases)))
        return total
