"""Search for texts in all files below a folder, in any file format."""

import gzip
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

_SQLITE = b"SQLite format 3\0"
_GZIP = b"\x1f\x8b"
_DUCKDB = b"DUCK"  # at byte 8


def find_leaks(
    secrets: Iterable[str], *, folders: Iterable[Path], texts: Iterable[str]
) -> list[str]:
    """Find secrets in the names, bytes and values of files, and in texts.

    Bytes are searched in UTF-8, UTF-16, Latin-1 and as escaped by JSON, ignoring case. Parquet
    files and databases are opened as well, since they compress values; a number there with the
    digits of a secret counts too.

    Args:
        secrets: texts to search; short ones occur in any large file by chance.
        folders: folders whose files are searched.
        texts: texts to search in, such as a log.

    Returns:
        One line per match.
    """
    wanted = {secret: _spellings(secret) for secret in secrets}
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                found += [f"{path}: {what}" for what in _search(path, wanted)]
            found += [f"{path}: its name" for secret in wanted if secret in path.name]
    for text in texts:
        lower = text.encode(errors="replace").lower()
        found += [f"text: {secret}" for secret in wanted if _stands_in(lower, wanted[secret])]
    return found


def _search(path: Path, wanted: dict[str, set[bytes]]) -> Iterator[str]:
    content = path.read_bytes()
    lower = content.lower()
    for secret, spellings in wanted.items():
        if _stands_in(lower, spellings):
            yield f"{secret} in its bytes"
    for where, value in _values(path, content):
        text = str(value).lower()
        for secret in wanted:
            # Digits within a number match by chance, for example in a time in nanoseconds.
            whole = isinstance(value, int | float)
            if secret.lower() == text if whole else secret.lower() in text:
                yield f"{secret} in {where}"


def _spellings(secret: str) -> set[bytes]:
    # bytes.lower() changes only ASCII letters.
    cases = {secret, secret.lower()}
    spellings = {json.dumps(case)[1:-1].encode() for case in cases}
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "latin-1"):
        with suppress(UnicodeEncodeError):
            spellings |= {case.encode(encoding) for case in cases}
    return {spelling.lower() for spelling in spellings}


def _stands_in(lower: bytes, spellings: set[bytes]) -> bool:
    return any(spelling in lower for spelling in spellings)


def _values(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the values that a file stores in compressed form, with their place."""
    if path.suffix == ".parquet":
        yield from _of_frame("table", pl.read_parquet(path))
    elif content.startswith(_SQLITE):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield from (("database", line) for line in database.iterdump())
    elif content[8:12] == _DUCKDB:
        with closing(duckdb.connect(str(path), read_only=True)) as database:
            names = database.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall()
            for schema, name in names:
                rows = database.execute(f'select * from "{schema}"."{name}"').fetchall()
                yield from ((f"table {name}", value) for row in rows for value in row)
    elif content.startswith(_GZIP):
        yield "gzip", gzip.decompress(content).decode(errors="replace")


def _of_frame(name: str, frame: pl.DataFrame) -> Iterator[tuple[str, Any]]:
    for column in frame.iter_columns():
        yield name, column.name
        plain = column.dtype.is_numeric() or column.dtype == pl.String
        for value in (column.unique() if plain else column).to_list():
            yield f"{name}, column {column.name}", value
