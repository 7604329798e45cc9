"""A new home's Prefect database: migrated once for a user and a version of Prefect, then copied.

Prefect makes a new SQLite database by way of all its migrations, some hundred: 15 s. The
copy is kept before a server has run on it, so it holds tables and no rows, and no server's secrets.
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
    """Make Prefect's SQLite database, unless there is one; it is the one that its settings name."""
    if database.exists():
        return
    kept = user_cache_path("lsdc") / f"prefect-{prefect.__version__}.db"
    try:
        _copy(kept, database)
    except sqlite3.Error:  # none is kept, or none that can be read
        asyncio.run(provide_database_interface().create_db())
        with contextlib.suppress(OSError, sqlite3.Error), write_atomic(kept) as temporary:
            _copy(database, temporary)


def why_not_database(database: Path) -> str:
    """Why a file cannot be Prefect's SQLite database; nothing if it can."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:  # locked, or not to be opened: not its content
        return str(error) if "locked" not in str(error) else ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return ""


def _copy(source: Path, target: Path) -> None:
    """As one transaction: a copy that is cut short leaves an empty database."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as given,
        closing(sqlite3.connect(target)) as copy,
    ):
        given.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that it is one file when read, too
