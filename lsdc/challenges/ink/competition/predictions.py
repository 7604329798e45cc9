"""Read tables of predicted masks: `Id,Predicted`, as the competition's submission has them."""

from pathlib import Path

import polars as pl

from lsdc.challenges.ink.competition.tables import ID, PREDICTED
from lsdc.errors import DataError
from lsdc.messages import first_few
from lsdc.store.table_files import read_columns


def read_predictions(path: Path) -> dict[str, str]:
    """Read the runs of each fragment from a CSV or Parquet file, in the order of its rows.

    An empty cell is an empty mask. Numbers are not read, see `run_length.decode`.

    Raises:
        DataError: the file does not exist, cannot be read or has no row, a column is missing, or an
            id is empty or repeated.
    """
    table = (
        read_columns(path, [ID, PREDICTED])
        .cast(pl.String)
        .with_columns(pl.col(PREDICTED).fill_null(""))
    )
    if not table.height:
        raise DataError(f"{path}: no row, expected one for each fragment; write it again")
    if table[ID].null_count():
        raise DataError(
            f"{path}: {table[ID].null_count()} of {table.height} rows without {ID}, expected the "
            "fragment's name in each; fill in all of them"
        )
    if table[ID].n_unique() < table.height:
        again = table.filter(pl.col(ID).is_duplicated())[ID].unique(maintain_order=True)
        raise DataError(
            f"{path}: {first_few(again, 'fragment')} repeated, expected each once; remove the "
            "repeats"
        )
    return dict(table.iter_rows())
