"""`lsdc index`: the headers of all files below a folder, as tables in the home's catalog."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lsdc.cli.fitted import Column, FittedTable
from lsdc.cli.shares import parse_share
from lsdc.cli.streams import open_console
from lsdc.errors import InterruptedRunError
from lsdc.lumbar.index import Index
from lsdc.lumbar.quarantine import is_stranger
from lsdc.lumbar.tables import Competition, competition_in
from lsdc.lumbar.tree import Indexed, catalog_name, catalog_tree, tree_tables
from lsdc.store.catalog import shown_run
from lsdc.store.home import Home, build_lock, open_home, remove_leftovers, resolve_home

_MOST_REASONS = 8

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A competition's folder, or any tree of DICOM.")
]
IndexHome = Annotated[
    Path | None,
    typer.Option(
        "--home", help="The home that keeps the index.", show_default="LSDC_HOME, else ./lsdc-home"
    ),
]


def index(
    folder: Folder,
    home: IndexHome = None,
    max_bad: Annotated[
        str, typer.Option(help="Share of unreadable files that is too much; 100% never is.")
    ] = "1%",
    processes: Annotated[int, typer.Option(min=1, help="How many processes read.")] = 2,
    wait: Annotated[bool, typer.Option(help="Wait for a run that builds in the same home.")] = True,
) -> None:
    """Read the header of every DICOM file below a folder into the home's catalog."""
    console, home_ = open_console(), open_home(resolve_home(home))
    indexed = index_folder(
        folder,
        home_,
        competition=competition_in(folder) if folder.is_dir() else None,
        max_bad=parse_share(max_bad),
        processes=processes,
        wait=wait,
    )
    _show(indexed, Index.load(tree_tables(home_, folder)), console)
    console.print(home_.catalog, soft_wrap=True, highlight=False)
    if (shown := shown_run(home_)) != (name := catalog_name(folder)):
        console.print(
            f"its rows: FROM all_runs.instances WHERE run = '{name}'; the tables at the top are "
            f"those of the run {shown}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def index_folder(
    folder: Path,
    home: Home,
    *,
    competition: Competition | None,
    max_bad: float,
    processes: int = 2,
    wait: bool = True,
) -> Indexed:
    """Index a folder into the home, with a progress bar on a terminal.

    Raises:
        InterruptedRunError: stopped from the keyboard.
        DataError: there is no such folder.
        StageError: too many files cannot be used.
    """
    console = open_console(stderr=True)
    with (
        build_lock(home, wait=wait, say=lambda text: console.print(text, style="yellow")),
        _progress(console) as on_progress,
    ):
        remove_leftovers(home)
        try:
            return catalog_tree(
                folder,
                home,
                competition=competition,
                processes=processes,
                max_bad=max_bad,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted; the same command goes on where this one stopped"
            ) from None


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    bar = Progress(
        TextColumn("reading headers"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("reading headers", total=None, rate="")

        def on_progress(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} files/s" if speed else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield on_progress


def _show(indexed: Indexed, tables: Index, console: Console) -> None:
    """Print what was found: counts, series by plane and description, reasons of quarantine."""
    strangers = len(tables.quarantine.filter(is_stranger()))
    console.print(
        f"{indexed.files:,} files, {indexed.read:,} read now: {indexed.instances:,} usable, "
        f"{indexed.quarantined:,} quarantined ({strangers:,} no DICOM)",
        highlight=False,
    )
    kinds = (
        tables.series.group_by("series_description", "plane")
        .agg(pl.len().alias("series"), pl.col("images").sum())
        .sort("series", descending=True)
    )
    if len(kinds):
        described, planes, series, images = kinds.get_columns()
        console.print(
            FittedTable(
                [
                    Column("described as", [each or "-" for each in described], is_text=True),
                    Column("plane", [each or "no image" for each in planes], is_text=True),
                    Column("series", [f"{each:,}" for each in series]),
                    Column("images", [f"{each:,}" for each in images]),
                ]
            )
        )
    reasons = tables.quarantine["reason"].value_counts(sort=True)
    if len(reasons):
        shown = reasons.head(_MOST_REASONS)
        rows = [(f"{count:,}", reason) for reason, count in shown.iter_rows()]
        if len(reasons) > _MOST_REASONS:
            rows.append(("...", "the catalog's table quarantine has all"))
        counts, because = zip(*rows, strict=True)
        console.print(
            FittedTable([Column("quarantined", counts), Column("because", because, is_text=True)])
        )
