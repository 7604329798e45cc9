"""`lsdc index`: write the DICOM headers of all files below a folder to the home's catalog."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.competition.tables import Competition, competition_in
from lsdc.challenges.registry import CHALLENGES
from lsdc.cli.fractions import parse_fraction
from lsdc.cli.options import AsJson, Quiet, home_option
from lsdc.cli.streams import open_console
from lsdc.dicom_index.folder_index import (
    Indexed,
    catalog_name,
    catalog_tree,
    refuse_bad_tree,
    tree_tables,
)
from lsdc.dicom_index.index import Index, log_index, series_without_images
from lsdc.dicom_index.other_files import group_others
from lsdc.dicom_index.quarantine import group_reasons
from lsdc.dicom_index.twins import describe_twins
from lsdc.errors import GOES_ON, InterruptedRunError
from lsdc.messages import Spell, counted, few
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.catalog import shown_run
from lsdc.store.home import Home, build_lock, open_home, remove_leftovers, resolve_home
from tasks.status.log import run_log

_MOST_REASONS = 8

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="A competition's folder, any folder of DICOM files, or 'phantom' (the home's).",
    ),
]
IndexHome = Annotated[Path | None, home_option("Home that stores the index.")]


def in_home(folder: Path, home: Home) -> Path:
    """Return the folder given, or a phantom of the home if the folder is its reserved name."""
    names = [Path(challenge.run.phantom) for challenge in CHALLENGES]
    return home.root / folder if folder in names and not folder.exists() else folder


def index(
    folder: Folder,
    home: IndexHome = None,
    max_bad: Annotated[
        str,
        typer.Option(
            metavar="FRACTION",
            help="Fail if more than this fraction of the files, and at least 10 files, cannot be "
            "used; with 100% the command never fails.",
        ),
    ] = "1%",
    processes: Annotated[int, typer.Option(min=1, help="Number of processes that read files.")] = 2,
    wait: Annotated[
        bool, typer.Option(help="Wait while a run uses the home; with --no-wait, exit with code 3.")
    ] = True,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Read the headers of all DICOM files below a folder, and write them to the catalog."""
    console, home_, share = open_console(), open_home(resolve_home(home)), parse_fraction(max_bad)
    folder = in_home(folder, home_)
    competition = competition_in(folder) if folder.is_dir() else None
    indexed, tables = index_folder(
        folder, home_, competition=competition, processes=processes, wait=wait, quiet=quiet
    )
    spell: Spell = competition.spell if competition else str
    if as_json:
        typer.echo(json.dumps(_as_dict(indexed, tables, home_, spell=spell), indent=2))
        refuse_bad_tree(tables, competition, max_bad=share)
        return
    _show(indexed, tables, console, spell=spell)
    if home_.root.resolve().is_relative_to(folder.resolve()):
        console.print(f"not indexed: the home, {home_.root}", soft_wrap=True, highlight=False)
    console.print(home_.catalog, soft_wrap=True, highlight=False)
    if (shown := shown_run(home_)) != (name := catalog_name(folder)):
        quoted = name.replace("'", "''")
        console.print(
            f"its rows: FROM all_runs.instances WHERE run = '{quoted}'; the catalog's other tables "
            f"show the run {shown}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    refuse_bad_tree(tables, competition, max_bad=share)


def index_folder(
    folder: Path,
    home: Home,
    *,
    competition: Competition | None,
    processes: int = 2,
    wait: bool = True,
    quiet: bool = False,
) -> tuple[Indexed, Index]:
    """Index a folder into the home, with a progress bar on a terminal unless `quiet`.

    Every rejected file is listed by name in the home's `logs/index.log`.

    Raises:
        InterruptedRunError: interrupted from the keyboard.
        DataError: the folder does not exist.
    """
    console = open_console(stderr=True)
    with (
        build_lock(home, wait=wait, say=lambda text: console.print(text, style="yellow")),
        run_log(home.logs / "index.log", None),
    ):
        remove_leftovers(home)
        try:
            with _progress(console, quiet=quiet) as on_progress:
                indexed = catalog_tree(
                    folder,
                    home,
                    CATALOG,
                    listing=competition,
                    processes=processes,
                    on_progress=on_progress,
                )
            tables = Index.load(tree_tables(home, folder))
            log_index(None, tables, competition.spell if competition else str)
            return indexed, tables
        except KeyboardInterrupt:
            raise InterruptedRunError(f"interrupted; {GOES_ON}") from None


@contextmanager
def _progress(console: Console, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    bar = Progress(
        TextColumn("reading headers"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("reading headers", total=None, rate="")

        def on_progress(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} files/s" if speed else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield on_progress


def _kinds(tables: Index) -> pl.DataFrame:
    """Return the number of series and images by description and plane."""
    return (
        tables.series.group_by("series_description", "plane")
        .agg(pl.len().alias("series"), pl.col("images").sum())
        .sort("series", descending=True)
    )


def _as_dict(indexed: Indexed, tables: Index, home: Home, *, spell: Spell) -> dict[str, Any]:
    """Return what `_show` prints as JSON values, without shortening its lists."""
    return {
        "files": indexed.files,
        "read": indexed.read,
        "images": indexed.instances,
        "series": _kinds(tables).to_dicts(),
        "series_without_images": list(series_without_images(tables, spell)),
        "twins": list(describe_twins(tables.twins, spell)),
        "quarantined": group_reasons(tables.quarantine).to_dicts(),
        "other_files": group_others(tables.other_files).to_dicts(),
        "catalog": str(home.catalog),
    }


def _show(indexed: Indexed, tables: Index, console: Console, *, spell: Spell) -> None:
    """Print counts, series by plane and description, and the rejected files with the reasons."""
    console.print(
        f"{counted(indexed.files, 'file')}, {indexed.read:,} read now: "
        f"{counted(indexed.instances, 'usable image')}, {indexed.quarantined:,} quarantined, "
        f"{counted(indexed.others, 'other file')}",
        highlight=False,
    )
    kinds = _kinds(tables)
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
    if missing := series_without_images(tables, spell):
        console.print(
            f"{counted(len(missing), 'listed series')} without a usable image: {few(missing)}",
            style="yellow",
            highlight=False,
        )
    if twins := describe_twins(tables.twins, spell):
        line = f"the same images under two ids, {counted(len(twins), 'time')}: {few(twins)}"
        console.print(line, style="yellow", highlight=False)
    reasons = group_reasons(tables.quarantine)
    _show_files("quarantined", "reason", reasons, "quarantine", console)
    _show_files("other files", "kind", group_others(tables.other_files), "other_files", console)


def _show_files(title: str, why: str, kinds: pl.DataFrame, name: str, console: Console) -> None:
    """Print kinds of files: the count of each, a description, and the first file."""
    if kinds.is_empty():
        return
    rows = [
        (f"{count:,}", words, path.rpartition("/")[2])
        for count, words, path in kinds.head(_MOST_REASONS).iter_rows()
    ]
    if len(kinds) > _MOST_REASONS:
        rows.append(("...", f"all are in the catalog's table {name}", ""))
    counts, reasons, examples = zip(*rows, strict=True)
    console.print(
        FittedTable(
            [
                Column(title, counts),
                Column(why, reasons, is_text=True),
                Column("example", examples, is_text=True, rank=1),
            ]
        )
    )
