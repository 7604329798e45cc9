"""Read and check tables of predictions: a row_id and three probabilities per row."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.vocabulary import GRADES
from lsdc.errors import DataError
from lsdc.messages import counted, first_few
from lsdc.store.table_files import read_columns
from lsdc.tables import checked_csv

PROBABILITIES = tuple(str(grade) for grade in GRADES)


def read_predictions(path: Path) -> pl.DataFrame:
    """Read row_id and the three probabilities from a CSV or Parquet file; check only the columns.

    Raises:
        DataError: the file does not exist, cannot be read, or a column is missing.
    """
    return read_columns(path, ["row_id", *PROBABILITIES])


def check_predictions(predictions: pl.DataFrame, source: str = "predictions") -> pl.DataFrame:
    """Return the rows in the same order, each row's probabilities divided by their sum.

    Args:
        predictions: row_id and the three probabilities, as numbers or as text; further columns
            are allowed.
        source: the table's name in messages, for example its path.

    Returns:
        row_id and the three probabilities (f64, each row summing to 1).

    Raises:
        DataError: a column is missing, a row id is empty or repeated, a probability is NaN,
            infinite, negative or not a number, or a row's probabilities sum to zero.
    """
    checked_csv.require_columns(predictions, ["row_id", *PROBABILITIES], source)
    table = predictions.select(pl.col("row_id").cast(pl.String), *PROBABILITIES)
    _refuse_repeats(table["row_id"], source)
    numbers = table.select(pl.col(PROBABILITIES).cast(pl.Float64, strict=False))
    values = numbers.fill_null(np.nan).to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):  # such rows are refused below
        sums = values.sum(axis=1)
    if not (np.all(values >= 0) and np.all(sums > 0) and np.all(np.isfinite(sums))):
        _refuse_values(table, values, sums, source)
    # Without the orientation, polars takes the three rows of a table for its columns.
    normalised = pl.DataFrame(values / sums[:, None], schema=list(PROBABILITIES), orient="row")
    return table.select("row_id").hstack(normalised)


def _refuse_repeats(row_ids: pl.Series, source: str) -> None:
    if row_ids.null_count():
        rows = counted(row_ids.null_count(), "row")
        raise DataError(f"{source}: {rows} without a row id; fill in all of them")
    if row_ids.n_unique() < len(row_ids):
        repeated = row_ids.filter(row_ids.is_duplicated()).unique(maintain_order=True)
        raise DataError(
            f"{source}: {first_few(repeated)} repeated, expected each row id once; "
            "remove the repeats"
        )


def _refuse_values(
    table: pl.DataFrame, values: NDArray[np.float64], sums: NDArray[np.float64], source: str
) -> None:
    given = table.select(pl.col(PROBABILITIES).cast(pl.String, strict=False))
    # Text that is not a number became NaN in `values`; a real NaN is spelled "nan".
    spelled_nan = given.select(pl.all().str.to_lowercase().str.contains("nan")).fill_null(False)
    nan = np.isnan(values)
    faults = {
        "with a value that is not a number": (nan & ~spelled_nan.to_numpy()).any(axis=1),
        "with NaN": nan.any(axis=1),
        "with an infinite probability": np.isinf(values).any(axis=1),
        "with a negative probability": (values < 0).any(axis=1),
        "whose probabilities sum to zero": sums == 0,
        "whose probabilities are too large to add up": np.isinf(sums),
    }
    fault, rows = next((fault, rows) for fault, rows in faults.items() if rows.any())
    named = table["row_id"].filter(pl.Series(rows))
    raise DataError(
        f"{source}: {first_few(named)} {fault}, expected three finite numbers of zero or more with "
        "a sum above zero; correct these rows"
    )
