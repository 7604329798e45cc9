"""Tables and databases opened by their exact names.

To polars and DuckDB a path is more than a name: `[ ] * ?` make it a pattern that may find another
file, `s3://` or `~` an address, `?` and a backslash break DuckDB's own files. Everything of ours
that opens a table opens it here, where a path names one file and nothing else.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from lsdc.store.files import write_atomic

_PLAIN = re.compile(r"[\w/. ,+@-]*")  # what no library gives a meaning to
_TEMPORARY = ("/tmp", "/var/tmp")  # if TMPDIR's own name is not plain


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of a Parquet file, of some columns if they are named.

    Raises:
        OSError: it is not there, or may not be read.
        polars.exceptions.PolarsError: it is no Parquet file, or damaged.
    """
    with path.open("rb") as file:  # not by its name, which polars would read meaning into
        return pl.read_parquet(file, columns=None if columns is None else list(columns))


def scan_parquet(*paths: Path) -> pl.LazyFrame:
    """The rows of Parquet files of one schema, file after file, read when they are collected."""
    return pl.scan_parquet([path.absolute() for path in paths], glob=False, hive_partitioning=False)


@contextmanager
def open_database(
    path: Path, *, read_only: bool = False, threads: int | None = None
) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Yield a connection to a DuckDB file, which is made if it is absent and may be written.

    DuckDB follows links to the path itself, so of a path that is not plain a copy is opened; one
    that may be written takes the file's place when the block ends without error.

    Raises:
        duckdb.Error: it is not there and `read_only`, or is no DuckDB file.
    """
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
    """Yield names, good within the block, by which files are read that may not be plain.

    A path that is plain serves itself; the folder of another is reached by a link. The files' own
    names have to be plain.
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
