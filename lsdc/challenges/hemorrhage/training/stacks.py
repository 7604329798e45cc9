"""Stacks of slices as samples of the training engine: a sample is the series of a study."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.training.samples import NAMES
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.training.frames import Gathered
from lsdc.training.samples import Labels, Samples

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Stacks:
    """The slices of n stacks, each in order and padded to the longest.

    Attributes:
        rows: (n, longest) the row of each slice in `slices.npy`; padded with the stack's last one.
        present: (n, longest) bool, False where padded.
        ids: (n,) the study of each.
    """

    rows: Rows
    present: NDArray[np.bool_]
    ids: tuple[str, ...]

    def samples(self, vectors: NDArray[np.float32], labels: NDArray[np.float32]) -> Samples:
        """Return the stacks as samples of `lsdc.training.models.study_sequence`.

        Args:
            vectors: (all, columns) the vectors of all slices.
            labels: (all, 6) the labels of all slices, NaN where they are not to be learnt.
        """
        own = labels[self.rows]
        own[~self.present] = np.nan
        numbers = np.arange(len(self.rows))
        return Samples(
            slices=Gathered(vectors[:, np.newaxis, np.newaxis], self.rows),
            rows=numbers,
            present=self.present,
            labels=Labels(own),
            members=np.column_stack([numbers, np.zeros_like(numbers)]),
            ids=self.ids,
        )

    def by_row(self, found: NDArray[Any], count: int) -> NDArray[np.float64]:
        """Return (count, 6) by the row of each slice, of (n, longest, 6); NaN for other rows."""
        every = np.full((count, len(NAMES)), np.nan)
        every[self.rows[self.present]] = found[self.present]
        return every


def stacks_of(every: pl.DataFrame, some: pl.DataFrame) -> Stacks:
    """Return the whole stacks to which some slices belong.

    Args:
        every: all rows of `samples.read_slices`.
        some: one or more of them.
    """
    whole = every.join(some.select("stack").unique(), on="stack", how="semi")
    by_stack = (
        whole.sort("stack", "order", "row")
        .group_by("stack", maintain_order=True)
        .agg("row", pl.col("study_id").first())
    )
    lists = by_stack["row"].to_list()
    longest = max(map(len, lists))
    return Stacks(
        rows=np.array([[*rows, *[rows[-1]] * (longest - len(rows))] for rows in lists]),
        present=np.arange(longest) < np.array([len(rows) for rows in lists])[:, np.newaxis],
        ids=tuple(by_stack["study_id"]),
    )


def read_vectors(path: Path, slices: int, columns: int) -> NDArray[np.float32]:
    """Return the vectors (slices, columns) of all slices, as a memory map.

    Raises:
        DataError: the file does not have this shape.
    """
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r")
    if vectors.shape != (slices, columns):
        raise DataError(
            f"{path}: vectors of shape {vectors.shape}, expected {counted(slices, 'slice')} with "
            f"{columns} columns; delete the folder, so that the fold is trained again"
        )
    return vectors
