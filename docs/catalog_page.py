"""Write the reference of a challenge's tables, such as docs/reference/catalog.md."""

import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import groupby

from docs.settings_page import page_name
from lsdc.challenges.challenge import Challenge
from lsdc.challenges.lumbar.quality.corrections import DESCRIPTIONS
from lsdc.challenges.registry import CHALLENGES, challenge_named
from lsdc.store.catalog import Runs, Sources
from lsdc.tables.table import Table

_TITLE = """# The catalog: {title}

`catalog.duckdb` in the home holds the tables of all runs of this home. lsdc writes a new catalog to
a temporary file and then replaces the old one. If you open it read-only, you do not block a run,
and no run blocks you.

```sh
python -c "import duckdb; duckdb.connect('lsdc-home/catalog.duckdb', read_only=True).sql(
    'SELECT reason, count(*) FROM quarantine GROUP BY reason').show()"
```
DuckDB's own command-line client can read the file, too.

A table name without a schema, such as `points`, is the table of the last run. `all_runs.points` has
the rows of all runs, and a column `run`:

```sql
SELECT run, count(*) FROM all_runs.samples GROUP BY run;
SELECT level, avg(a.z_mm - b.z_mm)
FROM all_runs.points a JOIN all_runs.points b USING (split, study_id, level)
WHERE a.run = 'demo' AND b.run = 'baseline' GROUP BY level;
```

`lsdc index DIR` and `lsdc doctor DIR` add the tables of the index, down to `other_files` and
`twins`, for a folder, with the folder's path as their `run`. They do not remove the tables of runs.
Names without a schema show the tables of the folder only until the first run in this home. The
table `runs` lists the runs and folders in the catalog; its column `shown` marks the one that names
without a schema show. If you remove a run (`lsdc clean NAME`), its tables are removed from the
catalog when the next run writes its tables.

Lengths are in mm; positions and directions are in DICOM's patient space (LPS: +x left, +y back,
+z head). In a path, bytes that are not UTF-8 are percent-escaped (`caf%E9.dcm`), and so is the
percent sign itself. The descriptions below are also in the catalog, as comments on its tables and
columns (`duckdb_tables()`, `duckdb_columns()`). {made}
"""
_OTHER_TITLE = """# The catalog: {title}

The tables of runs of this challenge. [The catalog](catalog.md) says how to open and query them.
{made}
"""
_MADE = """This page is generated from the declarations of the
tables: `python -m docs.catalog_page {name} > docs/reference/{page}`."""
_CORRECTIONS = """
A run writes this table. With `--annotations raw` it has no rows. If you undo the corrections from
the last to the first, you get the raw table back.

## How annotations are corrected

The rules are applied in this order, each to the result of the rules before it.

| rule | finds | does |
|---|---|---|
"""
_OUT_OF_FOLD = """
This table is not in the catalog: it is a file in the run's folder.
"""


def tables_of(challenge: Challenge) -> Mapping[str, type[Table]]:
    """Return the tables of the catalog, by name, and that of out-of-fold predictions."""
    tables = import_module(f"lsdc.challenges.{challenge.name}.catalog_tables")
    out_of_fold: type[Table] = tables.OUT_OF_FOLD
    of_runs: Mapping[str, type[Table]] = tables.CATALOG
    return {**of_runs, "runs": Runs, "sources": Sources, "oof.parquet": out_of_fold}


def catalog_page(challenge: Challenge) -> str:
    """Return the page in Markdown."""
    made = _MADE.format(name=challenge.name, page=page_name("catalog", challenge))
    title = _TITLE if challenge is CHALLENGES[0] else _OTHER_TITLE
    sections = []
    for name, table in tables_of(challenge).items():
        sections.append(_describe(name, table))
        if name == "corrections":
            sections[-1] += _CORRECTIONS
            for rule, (finds, does) in DESCRIPTIONS.items():
                sections[-1] += f"| `{rule}` | {finds} | {does} |\n"
    top = title.format(title=challenge.title, made=made)
    return "\n".join([top, *sections]) + _OUT_OF_FOLD


def _describe(name: str, table: type[Table]) -> str:
    """Return the section of a table; neighbouring columns with one description share a line."""
    lines = [f"## {name}", "", table.about(), "", "| column | description |", "|---|---|"]
    for about, columns in groupby(table.descriptions().items(), key=lambda item: item[1]):
        names = ", ".join(f"`{column}`" for column, _ in columns)
        lines.append(f"| {names} | {about} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(catalog_page(challenge_named(sys.argv[1])))
