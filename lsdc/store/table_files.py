"""Tables in Parquet files, checked when they are written."""

from pathlib import Path

import polars as pl

from lsdc.store.files import write_atomic
from lsdc.tables.table import Table


def write_table(table: type[Table], frame: pl.DataFrame, path: Path) -> None:
    """Write a frame to a Parquet file if it is a table as declared.

    Raises:
        StageError: it is not; see `Table.check`.
    """
    table.check(frame)
    with write_atomic(path) as temporary:
        frame.write_parquet(temporary)
