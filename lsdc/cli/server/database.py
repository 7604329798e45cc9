"""Create a home's Prefect database by copying one migrated once per user and Prefect version.

Prefect creates a SQLite database by running about a hundred migrations: 15 s. The copy is kept
before any server runs on it, so it has empty tables and no server's secrets.
"""

import asyncio
import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import prefect
from platformdirs import user_cache_path
from prefect.server.database import provide_database_interface

from lsdc.store.files import write_atomic


def create_database(database: Path) -> None:
    """Create Prefect's SQLite database, at the path in its settings, unless there is one."""
    if database.exists():
        return
    kept = user_cache_path("lsdc") / f"prefect-{prefect.__version__}.db"
    try:
        _copy(kept, database)
    except sqlite3.Error:  # no copy is kept, or it cannot be read
        asyncio.run(provide_database_interface().create_db())
        with contextlib.suppress(OSError, sqlite3.Error), write_atomic(kept) as temporary:
            _copy(database, temporary)


def why_not_database(database: Path) -> str:
    """Return why a file cannot be Prefect's SQLite database; an empty string if it can."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:  # locked, or cannot be opened
        return str(error) if "locked" not in str(error) else ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return ""


def _copy(source: Path, target: Path) -> None:
    """Copy in one transaction, so that an interrupted copy leaves an empty database."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as given,
        closing(sqlite3.connect(target)) as copy,
    ):
        given.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # else reading it would create further files
