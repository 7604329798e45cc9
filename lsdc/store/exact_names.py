"""Tables and databases opened by their literal paths.

polars and DuckDB interpret paths: `[ ] * ?` make a glob pattern that may match another file,
`s3://` or `~` an address; `?` and backslashes break DuckDB's own files. All our code opens tables
through this module, where a path names exactly one file.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lsdc.store.files import write_atomic

if TYPE_CHECKING:  # imported where used: a run opens no table before Prefect's server starts
    import duckdb
    import polars as pl

_PLAIN = re.compile(r"[\w/. ,+@-]*")  # characters that no library interprets
_TEMPORARY = ("/tmp", "/var/tmp")  # used if the path of TMPDIR is not plain


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> "pl.DataFrame":
    """Read a Parquet file, or only some of its columns.

    Raises:
        OSError: the file is missing or not readable.
        polars.exceptions.PolarsError: it is not a Parquet file, or damaged.
    """
    import polars as pl

    with path.open("rb") as file:  # polars would interpret a path
        return pl.read_parquet(file, columns=None if columns is None else list(columns))


def read_csv(path: Path) -> "pl.DataFrame":
    """Read a CSV file that lsdc wrote, all columns as text."""
    import polars as pl

    with path.open("rb") as file:
        return pl.read_csv(file, infer_schema=False)


def write_parquet(frame: "pl.DataFrame", path: Path) -> None:
    """Write a Parquet file, which appears only when it is complete."""
    with write_atomic(path) as temporary:
        frame.write_parquet(temporary)


def scan_parquet(*paths: Path) -> "pl.LazyFrame":
    """Scan Parquet files of one schema lazily, one after the other."""
    import polars as pl

    return pl.scan_parquet([path.absolute() for path in paths], glob=False, hive_partitioning=False)


@contextmanager
def open_database(
    path: Path, *, read_only: bool = False, threads: int | None = None
) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Yield a connection to a DuckDB file, created if absent unless `read_only`.

    DuckDB resolves links, so a file whose path is not plain is opened as a copy; a writable copy
    replaces the file when the block ends without error.

    Raises:
        duckdb.Error: the file is absent and `read_only`, or not a DuckDB file.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = (
        {} if threads is None else {"threads": threads}
    )
    if _PLAIN.fullmatch(str(path.absolute())):
        with duckdb.connect(str(path), read_only=read_only, config=config) as connection:
            yield connection
        return
    with _plain_folder() as folder:
        copy = folder / path.name
        if path.is_file():
            shutil.copyfile(path, copy)
        with duckdb.connect(str(copy), read_only=read_only, config=config) as connection:
            yield connection
        if not read_only:
            with write_atomic(path) as temporary:
                shutil.copyfile(copy, temporary)


@contextmanager
def plain_names(paths: Sequence[Path]) -> Iterator[list[str]]:
    """Yield plain paths of the files, valid within the block.

    If any path is not plain, the files' folders are reached by links. The file names themselves
    have to be plain.
    """
    names = [str(path.absolute()) for path in paths]
    if all(map(_PLAIN.fullmatch, names)):
        yield names
        return
    with _plain_folder() as folder:
        for number, path in enumerate(paths):
            link = folder / str(number)
            link.symlink_to(path.parent.absolute(), target_is_directory=True)
            names[number] = str(link / path.name)
        yield names


@contextmanager
def _plain_folder() -> Iterator[Path]:
    places = (tempfile.gettempdir(), *_TEMPORARY)
    place = next((place for place in places if _PLAIN.fullmatch(place)), None)
    with tempfile.TemporaryDirectory(prefix="lsdc-", dir=place) as folder:
        yield Path(folder)
