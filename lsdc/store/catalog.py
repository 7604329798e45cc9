"""The catalog: one DuckDB file with what the stages found, rebuilt whole beside the old.

Stages leave Parquet; the catalog is loaded from it and renamed into place, so that a reader who
has it open is never in the way and never sees half of it. Each Parquet file is a table of its own
name, the union over the stages that left one (train and test; `quarantine` from every stage).
`sources` names the results that went in.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import duckdb
from pydantic import BaseModel, ConfigDict

from lsdc.store.exact_names import open_database, plain_names
from lsdc.store.files import write_atomic
from lsdc.store.home import Home
from lsdc.store.manifest import Manifest

_TABLES = {
    "instances",
    "series",
    "studies",
    "folds",
    "labels",
    "holdout",
    "points",
    "slices",
    "conflicts",
}
_TABLES |= {"annotations", "corrections", "landmarks", "motion", "samples", "spines"}
_TABLES |= {"quarantine"}


class CatalogRecord(BaseModel):
    """What a task remembers of a published catalog: the digests that went in."""

    model_config = ConfigDict(frozen=True)

    sources: tuple[str, ...]

    def is_intact(self, home: Path) -> bool:
        """Whether the catalog is there and holds these sources, and perhaps more."""
        return set(self.sources) <= {digest for _, digest in _sources(Home(home).catalog)}


def publish_catalog(home: Home, manifests: Sequence[Manifest]) -> CatalogRecord:
    """Write the catalog anew from the Parquet files of the manifests."""
    tables = defaultdict(list)
    for manifest in manifests:
        for record in manifest.files:
            path = manifest.file(home.root, record.name)
            if path.suffix == ".parquet" and path.stem in _TABLES:
                tables[path.stem].append(path)
    with write_atomic(home.catalog) as temporary:
        temporary.unlink()  # DuckDB makes its own file
        # A second thread costs as much time as it saves on tables of this size.
        with open_database(temporary, threads=1) as connection:
            for table, paths in sorted(tables.items()):
                # A file that several stages refused is one row, with the first reason.
                what = "DISTINCT ON (path) *" if table == "quarantine" else "*"
                with plain_names(paths) as files:
                    connection.execute(
                        f'CREATE TABLE "{table}" AS '
                        f"SELECT {what} FROM read_parquet($files, union_by_name = true)",
                        {"files": files},
                    )
            connection.execute("CREATE TABLE sources (stage VARCHAR, digest VARCHAR)")
            connection.executemany(
                "INSERT INTO sources VALUES (?, ?)", [[m.stage, m.digest] for m in manifests]
            )
    return CatalogRecord(sources=tuple(manifest.digest for manifest in manifests))


def catalogued(home: Home, stage: str) -> list[str]:
    """The digests of the stage's results that the catalog was loaded from."""
    return sorted(digest for name, digest in _sources(home.catalog) if name == stage)


def _sources(catalog: Path) -> set[tuple[str, str]]:
    if not catalog.is_file():
        return set()
    try:
        with open_database(catalog, read_only=True) as connection:
            rows = connection.execute("SELECT stage, digest FROM sources").fetchall()
    except duckdb.Error:
        return set()  # damaged, or another program's: it is written anew
    return set(rows)
