"""`lsdc doctor`: report the quality of a folder's data, from its tables and DICOM headers."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console

from lsdc.challenges.registry import CHALLENGES, challenge_in, known_tables
from lsdc.cli.commands.index import Folder, IndexHome, in_home, indexing
from lsdc.cli.options import Quiet
from lsdc.cli.streams import open_console
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.home import Home, open_home, resolve_home
from lsdc.tables.findings import Finding, Report, Severity

# Columns that can identify a row, in order of preference.
_NAMES = ("study_id", "series_id", "image_id", "patient", "path", "line")
_BETWEEN = 10  # spaces beside and between the three columns
_WIDEST = 120  # columns; a pipe has unlimited width and would list all ids


def doctor(
    folder: Folder,
    home: IndexHome = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every id instead of a table.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Check the data without changing it: series, labels, points, headers and more."""
    kept = resolve_home(home)
    folder = in_home(folder, Home(kept))
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder, expected one with DICOM files or with the tables of a "
            f"competition: {known_tables()}"
        )
    home_, challenge = open_home(kept), challenge_in(folder) or CHALLENGES[0]
    with indexing(home_, quiet=quiet) as on_progress:
        report = challenge.examine(folder, home_, on_progress=on_progress)
    if report is None:
        raise DataError(
            f"{folder}: expected DICOM files or the tables of a competition: {known_tables()}; "
            "found nothing to check; give the folder that contains them"
        )
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
        return
    show_report(report, open_console())


def show_report(report: Report, console: Console) -> None:
    """Print the counts of series, then one line per finding, warnings first; count empty ones."""
    console.print(_counts_table(report.counts))
    found = [finding for finding in report.findings if finding.count]
    if found:
        console.print(_findings_table(found, min(console.width, _WIDEST), report.spelled))
    for finding in found:
        if finding.advice:
            console.print(f"{finding.title}: {finding.advice}.", highlight=False, markup=False)
    silent = counted(len(report.findings) - len(found), "other check")
    console.print(f"{silent} found nothing.", style="dim", highlight=False)
    if found:
        console.print(
            "For all ids, run the same command with --json.", style="dim", highlight=False
        )


def _counts_table(counts: dict[str, Any]) -> FittedTable:
    """Return a table of series by split and kind, with slice counts where images are indexed."""
    slices = counts.get("slices", {})
    by_split = {f"{split} series": kinds for split, kinds in counts.get("series", {}).items()}
    kinds = sorted({*slices, *(kind for split in by_split.values() for kind in split)})
    columns = [Column("kind", kinds, is_text=True)]
    for name, series in by_split.items():
        columns.append(Column(name, [f"{series.get(kind, 0):,}" for kind in kinds]))
    if slices:
        images, spreads = zip(*(_slices(slices.get(kind)) for kind in kinds), strict=True)
        columns += [Column("with images", images), Column("slices min/median/max", spreads)]
    return FittedTable(columns)


def _slices(of_kind: dict[str, Any] | None) -> list[str]:
    if of_kind is None:
        return ["0", "-"]
    spread = "/".join(f"{of_kind[name]:g}" for name in ("min", "median", "max"))
    return [f"{of_kind['series']:,}", spread]


def _findings_table(found: list[Finding], width: int, spelled: Mapping[int, str]) -> FittedTable:
    order = {Severity.WARNING: "", Severity.NOTE: "dim"}
    found = sorted(found, key=lambda finding: list(order).index(finding.severity))
    titles, counts = [_titled(finding) for finding in found], [f"{f.count:,}" for f in found]
    room = width - max(map(len, titles)) - max(map(len, [*counts, "count"])) - _BETWEEN
    firsts = [_first_ids(finding, room, spelled) for finding in found]
    return FittedTable(
        [
            Column("finding", titles, is_text=True),
            Column("count", counts),
            Column("first", firsts, is_text=True, rank=1),
        ],
        styles=[order[finding.severity] for finding in found],
    )


def _titled(finding: Finding) -> str:
    return finding.title if finding.of is None else f"{finding.title} (of {finding.of:,})"


def _first_ids(finding: Finding, room: int, spelled: Mapping[int, str]) -> str:
    """Return as many study ids, series ids, paths or line numbers as fit in full; at least one."""
    id_columns = [name for name in _NAMES if name in finding.rows.columns]
    id_columns = id_columns or finding.rows.columns
    # Files outside the usual layout have only a path; damaged table rows may have no id.
    name = next((name for name in id_columns if finding.rows[name].count()), id_columns[0])
    ids = finding.rows[name].drop_nulls()
    if name == "path":
        ids = ids.str.extract(r"([^/\\]*)$")
    elif name == "line":
        ids = pl.Series([f"line {number}" for number in ids])
    known = [spelled.get(each, str(each)) for each in ids.unique(maintain_order=True)]
    shown = 1
    while shown < len(known) and len(_listed(known, shown + 1)) <= room:
        shown += 1
    return _listed(known, shown)


def _listed(known: list[str], shown: int) -> str:
    return ", ".join(known[:shown]) + (", ..." if shown < len(known) else "")
