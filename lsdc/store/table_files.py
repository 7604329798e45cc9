"""Tables in files: ours, which are checked when they are written, and those of users."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet, write_parquet
from lsdc.tables import checked_csv
from lsdc.tables.table import Table


def write_table(table: type[Table], frame: pl.DataFrame, path: Path) -> None:
    """Write a frame to a Parquet file if it is a table as declared.

    Raises:
        StageError: it is not; see `Table.check`.
    """
    table.check(frame)
    write_parquet(frame, path)


def read_columns(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Read columns of a CSV or Parquet file, and those of the optional ones that it has.

    Those of a CSV file are strings.

    Raises:
        DataError: the file does not exist, cannot be read, or a column is missing.
    """
    if not is_parquet(path):
        return checked_csv.read_csv(path, columns, optional).drop(checked_csv.LINE)
    try:
        table = read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{path}: cannot be read as Parquet ({reason}); write it again") from error
    checked_csv.require_columns(table, columns, str(path))
    return table.select(*columns, *(name for name in optional if name in table.columns))


def is_parquet(path: Path) -> bool:
    """Detect Parquet by content, or by file name if the content is damaged."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1" or path.suffix == ".parquet"
