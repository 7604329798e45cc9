"""Prepared slices and their labels as samples of the training engine: one head of six outputs.

A sample is a slice; its image has the windows of the slice, or of it and its neighbours.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.training.frames import Gathered
from lsdc.training.samples import Labels, Samples

NAMES = tuple(map(str, LABELS))
Rows = NDArray[np.int64]


def read_slices(folder: Path) -> pl.DataFrame:
    """Return the rows of `slices.parquet`, in the order of `slices.npy`, with `stack`.

    `stack` numbers the series, whose slices are each other's neighbours.
    """
    table = read_parquet(folder / "slices.parquet").sort("row")
    series = pl.concat_str("study_id", "series_id", separator="/")
    return table.with_columns(stack=series.rank("dense").cast(pl.Int64) - 1)


def as_samples(
    folder: Path, table: pl.DataFrame, experiment: Experiment, labels: pl.DataFrame | None = None
) -> Samples:
    """Return the slices of a table as samples; without labels, all labels are missing.

    Args:
        folder: the folder with slices.npy and slices.parquet.
        table: rows of `read_slices`.
        experiment: which neighbours a sample shows.
        labels: image_id and the six labels.

    Raises:
        DataError: slices.npy has fewer rows than slices.parquet, or other channels than expected.
    """
    every = read_slices(folder)
    slices = np.load(folder / "slices.npy", mmap_mode="r")
    if len(slices) < len(every) or slices.shape[1:] != experiment.slices.shape:
        raise DataError(
            f"{folder}: slices.npy has {counted(len(slices), 'slice')} of shape "
            f"{slices.shape[1:]}, expected {len(every)} as in slices.parquet, of shape "
            f"{experiment.slices.shape}; delete the folder, so that the slices are prepared again"
        )
    config, rows = experiment.model, table["row"].to_numpy().astype(np.int64)
    return Samples(
        slices=Gathered(
            slices, neighbour_rows(every, config.neighbours), config.neighbour_weights or None
        ),
        rows=rows,
        present=np.ones((len(rows), experiment.channels), dtype=bool),
        labels=Labels(label_array(table, labels)[:, np.newaxis]),
        members=table.select("stack", pl.col("order").cast(pl.Int64)).to_numpy(),
        ids=tuple(table["image_id"]),
    )


def neighbour_rows(table: pl.DataFrame, offsets: Sequence[int]) -> Rows:
    """Return the rows (n, offsets) of each slice's neighbours; the ends of a stack are repeated.

    Args:
        table: all rows of `read_slices`.
        offsets: the neighbours, counted through the stack.

    >>> table = pl.DataFrame({"row": [0, 1, 2, 3], "stack": [0, 0, 0, 1], "order": [0, 1, 2, 0]})
    >>> neighbour_rows(table, (-1, 0, 2)).tolist()
    [[0, 0, 2], [0, 1, 2], [1, 2, 2], [3, 3, 3]]
    """
    sorted_ = table.sort("stack", "order", "row")
    rows, stack = sorted_["row"].to_numpy(), sorted_["stack"].to_numpy()
    _, start, counts = np.unique(stack, return_index=True, return_counts=True)
    first, last = np.repeat(start, counts), np.repeat(start + counts - 1, counts)
    place = np.arange(len(rows))
    found = np.zeros((len(rows), len(offsets)), dtype=np.int64)
    for column, offset in enumerate(offsets):
        found[rows, column] = rows[np.clip(place + offset, first, last)]
    return found


def label_array(table: pl.DataFrame, labels: pl.DataFrame | None) -> NDArray[np.float32]:
    """Return the labels (n, 6) of a table's images as probabilities, NaN where missing."""
    if labels is None:
        return np.full((len(table), len(NAMES)), np.nan, dtype=np.float32)
    own = labels.select("image_id", *NAMES)
    found = table.select("image_id").join(own, on="image_id", how="left", maintain_order="left")
    return found.select(pl.col(NAMES).cast(pl.Float32)).to_numpy()


def as_rows(table: pl.DataFrame, probabilities: NDArray[np.float64]) -> pl.DataFrame:
    """Return one row per image: image_id and the probabilities (n, 6) of the labels."""
    found = pl.DataFrame(np.asarray(probabilities, np.float64), schema=list(NAMES))
    return table.select("image_id").hstack(found)


def drawing_weights(
    table: pl.DataFrame, times: NDArray[np.int64], middle: float
) -> NDArray[np.float64]:
    """Return how likely each slice (n,) is to be drawn before others of its stack.

    Args:
        table: stack, order of the slices.
        times: (n,) how many times as likely a slice is by its labels.
        middle: how many times as likely the middle of a stack is as its ends.

    >>> table = pl.DataFrame({"stack": [0, 0, 0], "order": [4, 5, 6]})
    >>> drawing_weights(table, np.array([1, 1, 10]), middle=3.0).tolist()
    [1.0, 3.0, 10.0]
    """
    low, high = (getattr(pl.col("order"), end)().over("stack") for end in ("min", "max"))
    half = ((high - low) / 2).clip(lower_bound=0.5)
    from_middle = ((pl.col("order") - (high + low) / 2).abs() / half).alias("from_middle")
    share = 1 - table.select(from_middle.cast(pl.Float64)).to_series().to_numpy()
    weights: NDArray[np.float64] = times * (1 + (middle - 1) * share)
    return weights


def count_times(labels: NDArray[np.float32], oversample: Sequence[int]) -> NDArray[np.int64]:
    """Return how many times (n,) each slice counts: the largest number of its positive labels.

    >>> count_times(np.array([[0, 0], [1, 0], [1, 1]], np.float32), (2, 3)).tolist()
    [1, 2, 3]
    """
    positive = np.nan_to_num(labels) >= 0.5
    times: NDArray[np.int64] = np.where(positive, np.array(oversample, np.int64), 1).max(axis=1)
    return times
