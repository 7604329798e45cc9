"""Read and check tables of predictions, long or wide.

A long table is a submission: `ID` (an image's id, `_` and a label) and `Label`, its probability. A
wide one, as `oof.parquet` is, has `image_id` and a column for each label.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.competition import row_ids
from lsdc.challenges.hemorrhage.competition.row_ids import ID, LABEL
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.errors import DataError
from lsdc.messages import counted, first_few
from lsdc.store.exact_names import scan_parquet
from lsdc.store.table_files import is_parquet, read_columns
from lsdc.tables.checked_csv import require_columns

PROBABILITIES = tuple(map(str, LABELS))
_WIDE = "image_id"
_HEADER_BYTES = 4096  # of a CSV file, in which a column's name is looked for


def read_predictions(path: Path) -> pl.DataFrame:
    """Read predictions from a CSV or Parquet file, long or wide; check only the columns.

    Raises:
        DataError: the file does not exist, cannot be read, or a column is missing.
    """
    wide = _is_wide(path)
    return read_columns(path, [_WIDE, *PROBABILITIES] if wide else [ID, LABEL])


def check_predictions(predictions: pl.DataFrame, source: str = "predictions") -> pl.DataFrame:
    """Return predictions as a wide table of numbers, images in the order of their first rows.

    Args:
        predictions: a long or a wide table, probabilities as numbers or as text; further columns
            are allowed.
        source: the table's name in messages, for example its path.

    Returns:
        image_id and a column for each label (f64, from 0 to 1).

    Raises:
        DataError: a column is missing, an id is empty, malformed or repeated, a probability is NaN,
            not a number or not from 0 to 1, or an image has no row for some label.
    """
    if _WIDE in predictions.columns:
        return _check_wide(predictions, source)
    return _widen(predictions, source)


def _is_wide(path: Path) -> bool:
    """Detect a wide table by its header; not if the file cannot be read."""
    if not path.is_file():
        return False
    if is_parquet(path):
        try:
            return _WIDE in scan_parquet(path).collect_schema()
        except (pl.exceptions.PolarsError, OSError):
            return False
    with path.open("rb") as file:
        return _WIDE.encode() in file.readline(_HEADER_BYTES)


def _check_wide(predictions: pl.DataFrame, source: str) -> pl.DataFrame:
    require_columns(predictions, [_WIDE, *PROBABILITIES], source)
    table = predictions.select(pl.col(_WIDE).cast(pl.String), *PROBABILITIES)
    _refuse_empty(table[_WIDE], "an image id", source)
    if table[_WIDE].n_unique() < table.height:
        again = table.filter(pl.col(_WIDE).is_duplicated())[_WIDE].unique(maintain_order=True)
        raise DataError(
            f"{source}: {first_few(again, 'image')} repeated, expected each image once; remove the "
            "repeats"
        )
    numbers = table.with_columns(pl.col(PROBABILITIES).cast(pl.Float64, strict=False))
    values = numbers.select(PROBABILITIES).fill_null(np.nan).to_numpy()
    if not _are_probabilities(values):
        given = table.select(pl.col(PROBABILITIES).cast(pl.String, strict=False))
        cells = pl.Series("given", given.to_numpy().ravel(), dtype=pl.String)
        _refuse_values(row_ids.row_ids_of(table[_WIDE]), values.ravel(), cells, source)
    return numbers


def _widen(predictions: pl.DataFrame, source: str) -> pl.DataFrame:
    require_columns(predictions, [ID, LABEL], source)
    table = predictions.select(pl.col(ID).cast(pl.String), LABEL)
    _refuse_empty(table[ID], "a row id", source)
    malformed = table.filter(row_ids.is_malformed())[ID]
    if len(malformed):
        raise DataError(
            f"{source}: {first_few(malformed)}: expected row ids of {row_ids.EXPECTED}; correct "
            f"the column {ID}"
        )
    cells = row_ids.cells_of(table[ID])
    count = cells.count()
    if (count > 1).any():
        raise DataError(
            f"{source}: {first_few(cells.row_ids(count > 1))} repeated, expected each row id once; "
            "remove the repeats"
        )
    if (count == 0).any():
        raise DataError(
            f"{source}: {first_few(cells.row_ids(count == 0))} missing, expected a row for each "
            "label of an image; add these rows"
        )
    numbers = table[LABEL].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    if not _are_probabilities(numbers):
        _refuse_values(table[ID], numbers, table[LABEL].cast(pl.String, strict=False), source)
    values = np.empty(count.size)
    values[cells.place] = numbers
    wide = pl.DataFrame(values.reshape(count.shape), schema=list(PROBABILITIES), orient="row")
    return wide.insert_column(0, cells.images)


def _refuse_empty(ids: pl.Series, what: str, source: str) -> None:
    if ids.null_count():
        rows = counted(ids.null_count(), "row")
        raise DataError(f"{source}: {rows} without {what}; fill in all of them")


def _are_probabilities(values: NDArray[np.float64]) -> bool:
    return bool(np.all((values >= 0) & (values <= 1)))  # not so for NaN


def _refuse_values(
    names: pl.Series, values: NDArray[np.float64], given: pl.Series, source: str
) -> None:
    """Name the values, (n,), that are no probabilities, as they were given."""
    # Text that is not a number became NaN in `values`; a real NaN is spelled "nan".
    spelled_nan = given.str.to_lowercase().str.contains("nan").fill_null(False).to_numpy()
    nan = np.isnan(values)
    faults = {
        "with a value that is not a number": nan & ~spelled_nan,
        "with NaN": nan,
        "below 0 or above 1": ~nan,
    }
    faults = {fault: rows & ~((values >= 0) & (values <= 1)) for fault, rows in faults.items()}
    fault, rows = next((fault, rows) for fault, rows in faults.items() if rows.any())
    first = values[rows][0]
    got = f" (the first: {first:.6g})" if np.isfinite(first) else ""
    logits = "" if np.isnan(first) else "; if these are logits, apply the sigmoid to all of them"
    raise DataError(
        f"{source}: {first_few(names.filter(pl.Series(rows)))} {fault}{got}, expected a "
        f"probability from 0 to 1 in each row; correct these rows{logits}"
    )
