"""One catalog holds the tables of all runs of a home; no run removes those of another."""

import multiprocessing
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest

from lsdc.store.catalog import (
    RUN_COLUMN,
    Kind,
    catalogued,
    is_shown,
    publish_catalog,
    shown_run,
)
from lsdc.store.files import write_folder
from lsdc.store.home import Home, open_home
from lsdc.store.manifest import Manifest, store_folder
from lsdc.tables.table import Table


class Points(Table):
    """One row per point."""

    study_id = dy.Int64(description="Id of the study.")
    x_mm = dy.Float64(description="Towards the left.")


class BadFiles(Table):
    """One row per bad file."""

    path = dy.String(description="The file.")


TABLES = {"points": Points, "quarantine": BadFiles}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def made(home: Home, stage: str, **tables: dict[str, list[Any]]) -> Manifest:
    with write_folder(home.root / stage) as out:
        for name, columns in tables.items():
            pl.DataFrame(columns).write_parquet(out / f"{name}.parquet")
        return store_folder(home.root, stage, out, rows=1)


def publish(home: Home, run: str, *manifests: Manifest, kind: Kind = "run") -> None:
    if kind == "run":
        home.run(run).mkdir(parents=True, exist_ok=True)
    assert publish_catalog(home, run, manifests, TABLES, kind=kind).is_intact(home.root)


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.catalog), read_only=True) as catalog:
        return catalog.execute(query).fetchall()


def points(home: Home, x_mm: float) -> Manifest:
    return made(home, "coordinates", points={"study_id": [1, 2], "x_mm": [x_mm, x_mm]})


def bad(home: Home, path: str) -> Manifest:
    return made(home, "index", quarantine={"path": [path]})


def test_catalog_has_all_runs_and_its_views_show_the_last(home: Home) -> None:
    publish(home, "demo", bad(home, "a.dcm"), points(home, 1.0))
    publish(home, "demo@ph", points(home, 2.0))

    assert ask(home, "SELECT DISTINCT x_mm FROM points") == [(2.0,)]
    both = "SELECT run, sum(x_mm) FROM all_runs.points GROUP BY run ORDER BY run"
    assert ask(home, both) == [("demo", 2.0), ("demo@ph", 4.0)]
    assert ask(home, "SELECT run, path FROM all_runs.quarantine") == [("demo", "a.dcm")]
    assert ask(home, "SELECT run, shown FROM runs ORDER BY run") == [
        ("demo", False),
        ("demo@ph", True),
    ]


def test_publishing_part_of_a_run_again_shows_it_and_loses_nothing(
    home: Home,
) -> None:
    index, whole = bad(home, "a.dcm"), points(home, 1.0)
    publish(home, "demo", index, whole)
    publish(home, "mine", points(home, 2.0))
    assert not is_shown(home, "demo")
    publish(home, "demo", index)
    assert shown_run(home) == "demo"
    assert ask(home, "SELECT DISTINCT x_mm FROM points") == [(1.0,)]


def test_new_results_of_a_run_replace_its_earlier_tables(home: Home) -> None:
    publish(home, "demo", bad(home, "a.dcm"), points(home, 1.0))
    publish(home, "mine", points(home, 2.0))
    publish(home, "demo", index := bad(home, "b.dcm"))
    assert ask(home, "SELECT run, path FROM all_runs.quarantine") == [("demo", "b.dcm")]
    assert ask(home, "SELECT DISTINCT run FROM all_runs.points") == [("mine",)]
    assert catalogued(home, "demo", "index") == [index.digest]
    assert catalogued(home, "demo", "coordinates") == []


def test_indexed_folder_does_not_change_the_views_of_a_run(home: Home) -> None:
    publish(home, "demo", bad(home, "a.dcm"), points(home, 1.0))
    before = ask(home, "SHOW TABLES")
    publish(home, '/data/o\'ther "x"', bad(home, "b.dcm"), kind="folder")
    assert ask(home, "SHOW TABLES") == before
    assert ask(home, "SELECT path FROM quarantine") == [("a.dcm",)]
    other = "SELECT path FROM all_runs.quarantine WHERE run LIKE '/data/%'"
    assert ask(home, other) == [("b.dcm",)]


def test_views_of_a_home_without_runs_show_the_last_indexed_folder(home: Home) -> None:
    first, second = bad(home, "a.dcm"), bad(home, "b.dcm")
    publish(home, "/data/a", first, kind="folder")
    publish(home, "/data/b", second, kind="folder")
    assert ask(home, "SELECT path FROM quarantine") == [("b.dcm",)]
    publish(home, "/data/a", first, kind="folder")
    assert ask(home, "SELECT path FROM quarantine") == [("a.dcm",)]


def test_removed_runs_and_folders_are_dropped_by_the_next_publication(home: Home) -> None:
    publish(home, "gone", points(home, 1.0))
    folder = bad(home, "a.dcm")
    publish(home, "/data/a", folder, kind="folder")
    home.run("gone").rmdir()
    for file in folder.folder(home.root).iterdir():
        file.unlink()
    folder.folder(home.root).rmdir()
    publish(home, "demo", points(home, 2.0))
    assert ask(home, "SELECT run FROM runs") == [("demo",)]
    assert ask(home, "SELECT DISTINCT run FROM all_runs.points") == [("demo",)]


def test_catalog_has_descriptions_of_tables_and_columns(home: Home) -> None:
    publish(home, "demo", points(home, 1.0))
    tables = "SELECT table_name, comment FROM duckdb_tables() WHERE table_name = 'points'"
    assert ask(home, tables) == [("points", "One row per point.")]
    views = "SELECT comment FROM duckdb_views() WHERE view_name = 'points'"
    assert ask(home, views) == [("One row per point.",)] * 2
    columns = (
        "SELECT column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = '{}' AND table_name = 'points' ORDER BY column_index"
    )
    own = [("study_id", "Id of the study."), ("x_mm", "Towards the left.")]
    assert ask(home, columns.format("main")) == own
    assert ask(home, columns.format("all_runs")) == [("run", RUN_COLUMN), *own]
    silent = "SELECT column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
    assert ask(home, silent) == []


def test_open_reader_keeps_the_old_catalog(home: Home) -> None:
    publish(home, "demo", points(home, 1.0))
    with duckdb.connect(str(home.catalog), read_only=True) as reader:
        publish_catalog(home, "mine", [points(home, 2.0)], TABLES)
        assert reader.execute("SELECT DISTINCT x_mm FROM points").fetchall() == [(1.0,)]
    assert ask(home, "SELECT DISTINCT x_mm FROM points") == [(2.0,)]


WRITES = """
import duckdb, sys
with duckdb.connect(sys.argv[1]) as catalog:
    print(catalog.execute("SELECT count(*) FROM runs").fetchall(), flush=True)
    sys.stdin.read()
"""


def test_catalog_locked_by_another_writer_loses_nothing(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    publish(home, "demo", points(home, 1.0))
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, str(home.catalog)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert b"1" in writer.stdout.readline()
        with pytest.raises(duckdb.IOException, match="lock"):
            ask(home, "SELECT run FROM runs")
        assert shown_run(home) == "demo"
        publish(home, "mine", points(home, 2.0))
        writer.communicate(b"")
    assert ask(home, "SELECT run FROM runs ORDER BY run") == [("demo",), ("mine",)]
    assert caplog.text == ""


def test_damaged_catalog_is_rebuilt_with_a_warning(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.catalog.write_bytes(b"not a database")
    publish(home, "demo", points(home, 1.0))
    assert ask(home, "SELECT run FROM runs") == [("demo",)]
    assert "damaged, or written by another version" in caplog.text


def publish_at_once(root: Path, run: str, start: Barrier) -> None:
    home = Home(root)
    mine = points(home, 1.0)
    start.wait()
    publish_catalog(home, run, [mine], TABLES)


def test_concurrent_publications_lose_nothing(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    names, start = ["a", "b", "c"], context.Barrier(3)
    for name in names:
        home.run(name).mkdir(parents=True)
    processes = [
        context.Process(target=publish_at_once, args=(home.root, name, start)) for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert ask(home, "SELECT DISTINCT run FROM all_runs.points ORDER BY run") == [
        (name,) for name in names
    ]
