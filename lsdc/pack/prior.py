"""The prior of a run in a bundle: `prior.csv`, which `predict.py` reads without any library."""

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.store.files import write_atomic


def write_prior(prior: pl.DataFrame, path: Path) -> None:
    """Write a prior as CSV, with all digits, so that it is read as the same numbers.

    Args:
        prior: one row per cell: the columns that name it, and its values.
        path: the file to write.
    """
    with (
        write_atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(prior.columns)
        writer.writerows(prior.iter_rows())


def read_prior(path: Path, values: Collection[str]) -> pl.DataFrame:
    """Read what `write_prior` wrote; the columns in `values` are numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [
            {**row, **{name: float(row[name]) for name in values}} for row in csv.DictReader(file)
        ]
    return pl.DataFrame(rows)
