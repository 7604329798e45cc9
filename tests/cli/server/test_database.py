"""A new home's Prefect database is a copy of the cached one, or is migrated and then cached."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import prefect
import pytest
from platformdirs import user_cache_path

from lsdc.cli.server.database import create_database, is_migrated


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the user's cached database; there is none yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = user_cache_path("lsdc")
    folder.mkdir(parents=True)
    return folder / f"prefect-{prefect.__version__}.db"


def test_new_home_copies_the_cached_database(kept: Path, tmp_path: Path) -> None:
    _write(kept, "CREATE TABLE planted (x)")
    create_database(tmp_path / "prefect.db")
    assert _schema(tmp_path / "prefect.db") == ["CREATE TABLE planted (x)"]
    assert [each.name for each in kept.parent.iterdir()] == [kept.name]


def test_existing_database_is_not_replaced(kept: Path, tmp_path: Path) -> None:
    _write(kept, "CREATE TABLE planted (x)")
    _write(tmp_path / "prefect.db", "CREATE TABLE own (x)")
    create_database(tmp_path / "prefect.db")
    assert _schema(tmp_path / "prefect.db") == ["CREATE TABLE own (x)"]


def test_only_a_database_of_the_cached_revision_needs_no_migration(
    kept: Path, tmp_path: Path
) -> None:
    revision = "CREATE TABLE alembic_version AS SELECT '{}' AS version_num"
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    _write(old, revision.format("a"))
    _write(new, revision.format("b"))
    assert not is_migrated(new)  # nothing is cached
    _write(kept, revision.format("b"))
    assert is_migrated(new)
    assert not is_migrated(old)
    assert not is_migrated(tmp_path / "none.db")
    kept.write_bytes(b"no database" * 1000)
    assert not is_migrated(new)


@pytest.mark.slow_prefect
def test_unreadable_cached_database_is_created_again(kept: Path, tmp_path: Path) -> None:
    kept.write_bytes(b"no database" * 1000)
    _create_apart(tmp_path / "first.db")
    assert len(_schema(tmp_path / "first.db")) > 50
    assert _schema(kept) == _schema(tmp_path / "first.db")
    with closing(sqlite3.connect(kept)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = {
            name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for (name,) in tables
        }
    assert {name for name, count in rows.items() if count} == {"alembic_version"}


@pytest.mark.slow_prefect
def test_unwritable_cache_is_ignored(kept: Path, tmp_path: Path) -> None:
    kept.parent.rmdir()
    kept.parent.write_text("no folder")
    _create_apart(tmp_path / "first.db")
    assert len(_schema(tmp_path / "first.db")) > 50


def _create_apart(database: Path) -> None:
    """Create it in a separate process, as Prefect's settings name one database per process."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from lsdc.cli.server import database as it; "
            "it.create_database(Path(sys.argv[1]))",
            str(database),
        ],
        env=os.environ
        | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}"},
        check=True,
    )


def _write(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)


def _schema(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1")
        return [sql for (sql,) in rows]
