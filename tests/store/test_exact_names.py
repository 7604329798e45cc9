"""A path names exactly one file, for any characters in it and any neighbouring files."""

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import dataframely as dy
import duckdb
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from lsdc.cli.server.process import sqlite_url
from lsdc.store.catalog import catalogued, publish_catalog
from lsdc.store.exact_names import open_database, plain_names, read_parquet, scan_parquet
from lsdc.store.home import Home, open_home
from lsdc.store.manifest import make_manifest
from lsdc.tables.table import Table

# Characters with a meaning in globs, URLs, shells, SQL or templates, and others.
_SIGNS = "[]*?%{}#!^&=:@~$'\"\\;, \n-ab1é"
_NAMES = st.text(_SIGNS, min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
# Names that these would match as patterns, or become if they were decoded or truncated.
_DECOYS = ("a", "b", "1", "a1", "aa", "ab", "x", "%", " ", "?")

_READERS = ("read_", "scan_")  # of polars
_OPENERS = ("connect", "read_parquet", "from_parquet", "read_csv", "query", "sql")  # of DuckDB


def _decoys(name: str) -> set[str]:
    cut = {name.split(sign)[0] for sign in "?#*[{\n" if sign in name}
    named = {name.replace("%41", "A"), name.replace("\\", ""), name.replace("[1]", "1")}
    return ({*_DECOYS} | cut | named) - {name, ""}


def _folder(root: Path, name: str) -> Path:
    """Create a folder of that name with a table, beside other folders with other tables."""
    for number, each in enumerate([name, *sorted(_decoys(name))]):
        (root / each).mkdir()
        with (root / each / "table.parquet").open("wb") as file:
            pl.DataFrame({"x": [number]}).write_parquet(file)
    return root / name


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names")


@settings(max_examples=40, deadline=None)
@given(_NAMES)
@example("a[1]")
@example("[ab]")
@example("a*")
@example("?")
@example("%41")
@example("{a,b}")
@example("study_id=3")
@example("s3:")
@example("~")
@example("-b")
@example("$HOME")
@example("back\\slash")
def test_table_is_read_from_the_exact_name(places: Path, name: str) -> None:
    folder = _folder(Path(tempfile.mkdtemp(dir=places)), name)
    table = folder / "table.parquet"
    assert read_parquet(table)["x"].to_list() == [0]
    both = scan_parquet(table, table).collect()
    assert (both.columns, both["x"].to_list()) == (["x"], [0, 0])


@pytest.mark.parametrize("name", ["a b-1", "a[1]", "?", "a*#%41", "back\\slash", "new\nline"])
def test_database_is_written_and_read_at_the_exact_name(tmp_path: Path, name: str) -> None:
    folder = _folder(tmp_path, name)
    with plain_names([folder / "table.parquet"]) as files, duckdb.connect() as memory:
        rows = memory.execute("SELECT * FROM read_parquet($files)", {"files": files}).fetchall()
    assert rows == [(0,)]
    for number in (1, 2):
        with open_database(folder / "it.duckdb") as database:
            database.execute(f"CREATE TABLE table{number} AS SELECT {number} AS x")
    with open_database(folder / "it.duckdb", read_only=True) as database:
        assert database.execute("SELECT x FROM table1 UNION ALL FROM table2").fetchall() == [
            (1,),
            (2,),
        ]
    assert {path.name for path in folder.iterdir()} == {"table.parquet", "it.duckdb"}


@settings(max_examples=100, deadline=None)
@given(st.lists(_NAMES, min_size=1, max_size=3))
def test_server_finds_its_database_in_a_home_with_any_name(names: list[str]) -> None:
    root = Path("/", *names)
    assert make_url(sqlite_url(Home(root))).database == str(root / "prefect" / "prefect.db")


def test_names_are_plain_even_if_the_temporary_folder_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "what?"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with open_database(odd / "it.duckdb") as database:
        database.execute("CREATE TABLE here AS SELECT 7 AS x")
    assert [path.name for path in odd.iterdir()] == ["it.duckdb"]


def test_missing_table_is_not_replaced_by_a_similar_name(tmp_path: Path) -> None:
    (_folder(tmp_path, "a[1]") / "table.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        read_parquet(tmp_path / "a[1]" / "table.parquet")
    with pytest.raises(FileNotFoundError):
        scan_parquet(tmp_path / "a[1]" / "table.parquet").collect()


class Folds(Table):
    """One row per study."""

    study_id = dy.Int64(description="Id of the study.")


def test_catalog_is_written_in_a_home_with_any_name(tmp_path: Path) -> None:
    home = open_home(_folder(tmp_path, "a[1]*?%41") / "home")
    folder = home.root / "folds" / "1"
    folder.mkdir(parents=True)
    pl.DataFrame({"study_id": [1, 2]}).write_parquet(folder / "folds.parquet")
    made = make_manifest(home.root, "folds", folder, rows=2, names=["folds.parquet"])
    publish_catalog(home, "demo", [made], {"folds": Folds})
    assert catalogued(home, "demo", "folds") == [made.digest]


def test_thread_that_outlives_the_process_gives_no_duckdb_warning() -> None:
    """Prefect leaves such threads; an annotation with a DuckDB type would be kept by them."""
    script = """
import threading, time
from lsdc.store import catalog, exact_names
kept = [each for module in (catalog, exact_names) for each in vars(module).values()
        if getattr(each, "__module__", "").startswith("lsdc.")]
threading.Thread(target=lambda kept: time.sleep(100), args=(kept,), daemon=True).start()
del kept
"""
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_no_other_module_opens_a_table_by_its_path() -> None:
    """Polars and DuckDB interpret paths as patterns, so only one module opens files."""
    repository = Path(__file__).parents[2]
    found = []
    for file in (repository / path for path in _sources(repository)):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                reads = node.value.id in ("pl", "polars") and node.attr.startswith(_READERS)
                if reads or (node.value.id == "duckdb" and node.attr in _OPENERS):
                    found.append(f"{file.relative_to(repository)}:{node.lineno}")
    assert not found


def _sources(repository: Path) -> list[Path]:
    rooms = (repository / room for room in ("lsdc", "tasks", "flows", "deployments"))
    files = sorted(file for room in rooms for file in room.rglob("*.py"))
    assert len(files) > 200
    # The second one reads bytes, which no library interprets.
    return [file for file in files if file.name not in ("exact_names.py", "plain_csv.py")]
