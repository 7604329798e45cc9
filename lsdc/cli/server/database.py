"""Create a home's Prefect database by copying one migrated once per user and Prefect version.

Prefect creates a SQLite database by running about a hundred migrations: 15 s. The copy is kept
before any server runs on it, so it has empty tables and no server's secrets.
"""

import asyncio
import contextlib
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

from lsdc.store.files import write_atomic


def create_database(database: Path) -> None:
    """Create Prefect's SQLite database, at the path in its settings, unless there is one."""
    if database.exists():
        return
    kept = _kept()
    try:
        _copy(kept, database)
    except sqlite3.Error:  # no copy is kept, or it cannot be read
        from prefect.server.database import provide_database_interface

        asyncio.run(provide_database_interface().create_db())
        with contextlib.suppress(OSError, sqlite3.Error), write_atomic(kept) as temporary:
            _copy(database, temporary)


def is_migrated(database: Path) -> bool:
    """Return whether a database has all migrations of the installed Prefect, as the kept one."""
    try:
        return _revision(database) == _revision(_kept())
    except sqlite3.Error:  # there is no database, or none is kept
        return False


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


def _kept() -> Path:
    return user_cache_path("lsdc") / f"prefect-{version('prefect')}.db"


def _revision(database: Path) -> list[tuple[str]]:
    with closing(_open_existing(database)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()


def _open_existing(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)


def _copy(source: Path, target: Path) -> None:
    """Copy in one transaction, so that an interrupted copy leaves an empty database."""
    with (
        closing(_open_existing(source)) as given,
        closing(sqlite3.connect(target)) as copy,
    ):
        given.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # else reading it would create further files
