"""Samples of crops as the training engine takes them: a head a condition, a class a grade."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.errors import DataError
from lsdc.lumbar.row_ids import with_row_id
from lsdc.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.training.samples import EMPTY_LABEL, Samples


def read_table(crops: Path, split: str) -> pl.DataFrame:
    """The split's rows of `samples.parquet`, in the order of the memory map."""
    return pl.read_parquet(crops / "samples.parquet").filter(split=split).sort("row")


def as_samples(crops: Path, table: pl.DataFrame, labels: pl.DataFrame | None = None) -> Samples:
    """The samples of a table; without labels, all of them are empty.

    Args:
        crops: folder with crops.npy.
        table: row, study_id, level, mask.
        labels: study_id, condition, level, grade.

    Raises:
        DataError: the table names a row that crops.npy does not have.
    """
    slices = np.load(crops / "crops.npy", mmap_mode="r")
    rows = table["row"].to_numpy().astype(np.int64)
    if len(rows) and rows.max() >= len(slices):
        raise DataError(
            f"{crops}: samples.parquet names row {rows.max()}, crops.npy has {len(slices)} rows; "
            "delete the folder, so that the crops are cut again"
        )
    return Samples(
        slices=slices,
        rows=rows,
        present=np.array(table["mask"].to_list(), dtype=bool).reshape(len(rows), slices.shape[1]),
        labels=_labels(table, labels),
        ids=tuple(table.select(pl.format("{}_{}", "study_id", "level")).to_series()),
    )


def as_rows(table: pl.DataFrame, probabilities: NDArray[np.float64]) -> pl.DataFrame:
    """A row a sample and condition: row_id, study_id, condition, level and the probabilities.

    Args:
        table: study_id, level of n samples.
        probabilities: (n, conditions, grades).
    """
    rows = table.select("study_id", "level").join(
        pl.DataFrame({"condition": [str(condition) for condition in CONDITIONS]}),
        how="cross",
        maintain_order="left_right",
    )
    by_grade = pl.DataFrame(
        probabilities.reshape(-1, len(GRADES)), schema=[str(grade) for grade in GRADES]
    )
    return with_row_id(rows.select("study_id", "condition", "level").hstack(by_grade))


def _labels(table: pl.DataFrame, labels: pl.DataFrame | None) -> NDArray[np.int64]:
    found = np.full((len(table), len(CONDITIONS)), EMPTY_LABEL, dtype=np.int64)
    if labels is None:
        return found
    for head, condition in enumerate(CONDITIONS):
        grades = table.select("study_id", "level").join(
            labels.filter(condition=str(condition)),
            on=["study_id", "level"],
            how="left",
            maintain_order="left",
        )["grade"]
        found[:, head] = grades.cast(pl.Int64).fill_null(EMPTY_LABEL).to_numpy()
    return found
