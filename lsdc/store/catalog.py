"""The catalog: one DuckDB file with the tables of all runs of a home.

Stages write Parquet files. Each run has a schema, into which its files are loaded. If several
stages wrote a table of the same name (train and test; `quarantine` in every stage), the table is
their union. The schemas of other runs do not change. A new catalog is built next to the old one and
then replaces it, so readers do not block writing and never see a half-written catalog.

Users query views: `points` shows the last run, `all_runs.points` all runs, with a column `run`. A
folder that was indexed without a run is stored in the same way, under the name of the folder; the
views show it only while the home has no run.
"""

import contextlib
import logging
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dataframely as dy

from lsdc.store.exact_names import open_database, plain_names
from lsdc.store.file_locks import file_lock
from lsdc.store.files import write_atomic
from lsdc.store.home import Home
from lsdc.store.manifest import Manifest
from lsdc.store.result_index import Result
from lsdc.tables.table import Table

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

Kind = Literal["run", "folder"]


class Runs(Table):
    """One row per run, and per folder that was indexed with 'lsdc index' or 'lsdc doctor'."""

    run = dy.String(description="The run's folder in runs/, or the folder that was indexed.")
    kind = dy.String(description="run, or folder (indexed with 'lsdc index' or 'lsdc doctor').")
    published = dy.Datetime(description="When the tables were last written, in UTC.")
    shown = dy.Bool(description="Whether table names without a schema show this run.")


class Sources(Table):
    """One row per result that the tables were loaded from."""

    stage = dy.String(description="The stage that wrote the result.")
    digest = dy.String(
        description="Digest of the result's files; its first 16 digits are the name of the folder."
    )


RUN_COLUMN = "The run, or the indexed folder, that the row belongs to."


class CatalogRecord(Result):
    """The result of publishing a catalog: the run, and the digests of the loaded results."""

    run: str
    sources: tuple[str, ...]

    def is_intact(self, home: Path) -> bool:
        """Return whether the catalog exists, shows the run and holds at least these sources."""
        return is_shown(Home(home), self.run) and set(self.sources) <= {
            digest for run, _, digest in _sources(Home(home).catalog) if run == self.run
        }


def publish_catalog(
    home: Home,
    run: str,
    manifests: Sequence[Manifest],
    tables: Mapping[str, type[Table]],
    *,
    kind: Kind = "run",
) -> CatalogRecord:
    """Load a run's Parquet files into the catalog, replacing the run's earlier tables.

    If the catalog already has all of these results, only the views are switched to the run.

    Args:
        home: home of the catalog.
        run: name of the run, or of the folder that was indexed without a run.
        manifests: results to load.
        tables: tables to load, by file name without suffix.
        kind: "run", or "folder" for one indexed without a run.
    """
    digests = tuple(manifest.digest for manifest in manifests)
    with file_lock(home.root / ".catalog.lock"), write_atomic(home.catalog) as temporary:
        if home.catalog.is_file():
            # Work on a copy: writing to the catalog itself would lock out readers.
            shutil.copyfile(home.catalog, temporary)
        if not _is_usable(temporary, home.catalog):
            temporary.unlink()  # DuckDB creates its own file
        # On tables of this size, a second thread is not faster.
        with open_database(temporary, threads=1) as connection:
            connection.execute(_CREATE)
            for removed in _removed(home, connection, run):
                _drop(connection, removed)
            held = connection.execute("SELECT digest FROM all_runs.sources WHERE run = ?", [run])
            if not set(digests) <= {digest for (digest,) in held.fetchall()}:
                _drop(connection, run)
                _load(connection, home, run, manifests, tables)
            connection.execute("DELETE FROM runs WHERE run = ?", [run])
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute("INSERT INTO runs VALUES (?, ?, ?, false)", [run, kind, now])
            _show_last(connection, tables)
    return CatalogRecord(run=run, sources=digests)


def catalogued(home: Home, run: str, stage: str) -> list[str]:
    """Return the digests of a stage's results that the catalog holds for a run."""
    return sorted(
        digest for whose, name, digest in _sources(home.catalog) if (whose, name) == (run, stage)
    )


def is_shown(home: Home, run: str) -> bool:
    """Return whether the views show this run; for a folder, whether it is the last one indexed."""
    query = "SELECT run, kind FROM runs ORDER BY kind = 'run', published"
    rows = _query(home.catalog, query)
    kinds: dict[str, Kind] = dict(rows)
    last = {kind: name for name, kind in rows}
    return run in kinds and last[kinds[run]] == run


def shown_run(home: Home) -> str | None:
    """Return the name of the run or folder that the views show; None without a catalog."""
    shown = _query(home.catalog, "SELECT run FROM runs WHERE shown")
    return str(shown[0][0]) if shown else None


_CREATE = """
CREATE SCHEMA IF NOT EXISTS all_runs;
CREATE TABLE IF NOT EXISTS runs (
    run VARCHAR, kind VARCHAR, published TIMESTAMP, shown BOOLEAN
);
CREATE TABLE IF NOT EXISTS all_runs.sources (run VARCHAR, stage VARCHAR, digest VARCHAR);
"""


def _load(
    connection: "duckdb.DuckDBPyConnection",
    home: Home,
    run: str,
    manifests: Sequence[Manifest],
    tables: Mapping[str, type[Table]],
) -> None:
    found = defaultdict(list)
    for manifest in manifests:
        for record in manifest.files:
            path = manifest.file(home.root, record.name)
            if path.suffix == ".parquet" and path.stem in tables:
                found[path.stem].append(path)
    connection.execute(f"CREATE SCHEMA {_schema(run)}")
    for table, paths in sorted(found.items()):
        # A file that several stages quarantined gets one row, with the first reason.
        what = "DISTINCT ON (path) *" if table == "quarantine" else "*"
        with plain_names(paths) as files:
            connection.execute(
                f"CREATE TABLE {_schema(run)}.{_quoted(table)} AS "
                f"SELECT {what} FROM read_parquet($files, union_by_name = true)",
                {"files": files},
            )
        _comment(connection, f"{_schema(run)}.{_quoted(table)}", tables[table], is_view=False)
    connection.executemany(
        "INSERT INTO all_runs.sources VALUES (?, ?, ?)",
        [[run, manifest.stage, manifest.digest] for manifest in manifests],
    )


def _drop(connection: "duckdb.DuckDBPyConnection", run: str) -> None:
    connection.execute(f"DROP SCHEMA IF EXISTS {_schema(run)} CASCADE")
    connection.execute("DELETE FROM all_runs.sources WHERE run = ?", [run])
    connection.execute("DELETE FROM runs WHERE run = ?", [run])


def _removed(home: Home, connection: "duckdb.DuckDBPyConnection", run: str) -> list[str]:
    """Return runs whose folder was removed, and folders whose index was removed."""
    runs = connection.execute("SELECT run FROM runs WHERE kind = 'run'").fetchall()
    removed = [name for (name,) in runs if not (home.runs / name).is_dir()]
    indexed = connection.execute(
        "SELECT run, digest FROM all_runs.sources JOIN runs USING (run) WHERE kind = 'folder'"
    ).fetchall()
    removed += [
        name for name, digest in indexed if not (home.root / "index" / digest[:16]).is_dir()
    ]
    return [name for name in removed if name != run]


def _show_last(connection: "duckdb.DuckDBPyConnection", tables: Mapping[str, type[Table]]) -> None:
    """Recreate the views: in `main` those of the last run, in `all_runs` those of all runs."""
    views = "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
    for schema, view in connection.execute(views).fetchall():
        connection.execute(f"DROP VIEW {_quoted(schema)}.{_quoted(view)}")
    rows = connection.execute("SELECT run FROM runs ORDER BY kind = 'run', published").fetchall()
    runs = [run for (run,) in rows]
    connection.execute("UPDATE runs SET shown = (run = ?)", [runs[-1]])
    existing = {
        (schema, table)
        for schema, table in connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables()"
        ).fetchall()
    }
    for name, table in tables.items():
        runs_with_table = [run for run in runs if (_plain_schema(run), name) in existing]
        parts = [
            f"SELECT {_text(run)} AS run, * FROM {_schema(run)}.{_quoted(name)}"
            for run in runs_with_table
        ]
        if parts:
            view = f"all_runs.{_quoted(name)}"
            connection.execute(f"CREATE VIEW {view} AS {' UNION ALL BY NAME '.join(parts)}")
            _comment(connection, view, table, run=True)
        if runs[-1] in runs_with_table:
            view = f"main.{_quoted(name)}"
            connection.execute(
                f"CREATE VIEW {view} AS SELECT * FROM {_schema(runs[-1])}.{_quoted(name)}"
            )
            _comment(connection, view, table)
    connection.execute(
        "CREATE VIEW main.sources AS SELECT stage, digest FROM all_runs.sources "
        f"WHERE run = {_text(runs[-1])}"
    )
    _comment(connection, "main.sources", Sources)
    _comment(connection, "all_runs.sources", Sources, run=True, is_view=False)
    _comment(connection, "main.runs", Runs, is_view=False)


def _comment(
    connection: "duckdb.DuckDBPyConnection",
    name: str,
    table: type[Table],
    *,
    run: bool = False,
    is_view: bool = True,
) -> None:
    """Store the descriptions of a table and its columns as comments in the catalog."""
    kind = "VIEW" if is_view else "TABLE"
    connection.execute(f"COMMENT ON {kind} {name} IS {_text(table.about())}")
    existing = {column for column, *_ in connection.execute(f"DESCRIBE {name}").fetchall()}
    columns = ({"run": RUN_COLUMN} if run else {}) | table.descriptions()
    for column, about in columns.items():
        if column in existing:  # results of other versions may not have it
            connection.execute(f"COMMENT ON COLUMN {name}.{_quoted(column)} IS {_text(about)}")


def _plain_schema(run: str) -> str:
    return f"of {run}"  # differs from the names of DuckDB's own schemas


def _schema(run: str) -> str:
    return _quoted(_plain_schema(run))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _is_usable(copy: Path, catalog: Path) -> bool:
    """Return whether the copy is a usable catalog; it is empty if there was none."""
    import duckdb

    if not copy.stat().st_size:
        return False
    try:
        with open_database(copy, read_only=True) as connection:
            connection.execute("SELECT run, kind, published, shown FROM runs").fetchall()
            connection.execute("SELECT run, stage, digest FROM all_runs.sources").fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        log.warning(
            "%s: damaged, or written by another version (%s); it is rebuilt now, and the tables of "
            "other runs are added when you repeat those runs",
            catalog,
            reason,
        )
        return False
    return True


def _sources(catalog: Path) -> list[tuple[str, str, str]]:
    return _query(catalog, "SELECT run, stage, digest FROM all_runs.sources")


def _query(catalog: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none if the catalog is missing or unreadable."""
    import duckdb

    if not catalog.is_file():
        return []
    for open_it in (open_database, _open_copy):  # a copy, if a writer has locked the file
        with contextlib.suppress(duckdb.Error), open_it(catalog, read_only=True) as connection:
            return connection.execute(query).fetchall()
    return []


@contextmanager
def _open_copy(catalog: Path, *, read_only: bool) -> Iterator["duckdb.DuckDBPyConnection"]:
    with tempfile.TemporaryDirectory(prefix="lsdc-") as folder:
        copy = Path(folder) / catalog.name
        shutil.copyfile(catalog, copy)
        with open_database(copy, read_only=read_only) as connection:
            yield connection
