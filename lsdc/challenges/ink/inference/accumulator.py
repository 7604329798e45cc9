"""The weighted mean of overlapping tiles, for the few rows that are not complete yet."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsdc.store.files import write_atomic


@dataclass
class Accumulator:
    """Weighted sums and weights of as many rows as a tile has, over all columns of a fragment.

    The weights of the sum are those of the count, so a constant stays what it is. What lies above
    the next row of tiles is complete and leaves; memory does not depend on the fragment's rows.

    Attributes:
        size: the number of rows.
        columns: the number of columns.
        first_row: the row of the fragment that the first row stands for.
    """

    size: int
    columns: int
    first_row: int
    total: NDArray[np.float32] = field(init=False)
    weight: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with zeros."""
        self.total = np.zeros((self.size, self.columns), np.float32)
        self.weight = np.zeros((self.size, self.columns), np.float32)

    def add(
        self,
        values: NDArray[np.float32],
        weights: NDArray[np.float32],
        column: int,
        where: tuple[slice, slice],
    ) -> None:
        """Add the part of a tile (size, size) at `column` that counts."""
        rows, columns = where
        start, stop = column + columns.start, min(column + columns.stop, self.columns)
        part = rows, slice(columns.start, columns.start + stop - start)
        self.total[rows, start:stop] += values[part] * weights[part]
        self.weight[rows, start:stop] += weights[part]

    def advance(self, to: int) -> NDArray[np.float32]:
        """Move on to a later row; return the means of the rows passed, 0 where no tile was.

        Args:
            to: the row of the fragment to go on from.

        Returns: (to - first_row, columns), at most `size` rows.
        """
        done = min(to - self.first_row, self.size)
        seen = self.weight[:done] > 0
        means = np.zeros((done, self.columns), np.float32)
        np.divide(self.total[:done], self.weight[:done], out=means, where=seen)
        for each in (self.total, self.weight):
            each[: self.size - done] = each[done:].copy()
            each[self.size - done :] = 0
        self.first_row = to
        return means

    def save(self, path: Path, *, done: int, identity: str) -> None:
        """Write it whole, with the number of rows of tiles in it, and what they depend on."""
        with write_atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                total=self.total,
                weight=self.weight,
                first_row=np.asarray(self.first_row),
                done=np.asarray(done),
                identity=np.asarray(identity),
            )

    def load(self, path: Path, *, identity: str) -> int:
        """Read what `save` wrote, and return its `done`; 0 if that is of another identity."""
        with np.load(path) as stored:
            if str(stored["identity"]) != identity:
                return 0
            self.total, self.weight = stored["total"], stored["weight"]
            self.first_row = int(stored["first_row"])
            return int(stored["done"])
