"""`lsdc index`: write the DICOM headers of all files below a folder to the home's catalog."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import progress as bars
from rich.console import Console

from lsdc.challenges.registry import CHALLENGES, challenge_in
from lsdc.cli.fractions import parse_fraction
from lsdc.cli.options import AsJson, Quiet, home_option
from lsdc.cli.streams import open_console
from lsdc.errors import GOES_ON, InterruptedRunError
from lsdc.store.catalog import shown_run
from lsdc.store.home import Home, build_lock, open_home, remove_leftovers, resolve_home
from tasks.status.log import run_log

Progress = Callable[[int, int], None]

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
    challenge = challenge_in(folder) or CHALLENGES[0]
    with indexing(home_, wait=wait, quiet=quiet) as on_progress:
        found = challenge.index(folder, home_, processes=processes, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        found.refuse_bad(max_bad=share)
        return
    found.show(console)
    if home_.root.resolve().is_relative_to(folder.resolve()):
        console.print(f"not indexed: the home, {home_.root}", soft_wrap=True, highlight=False)
    console.print(home_.catalog, soft_wrap=True, highlight=False)
    if (shown := shown_run(home_)) != found.name:
        quoted = found.name.replace("'", "''")
        console.print(
            f"its rows: FROM all_runs.{found.table} WHERE run = '{quoted}'; the catalog's other "
            f"tables show the run {shown}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    found.refuse_bad(max_bad=share)


@contextmanager
def indexing(home: Home, *, wait: bool = True, quiet: bool = False) -> Iterator[Progress]:
    """Lock a home for an index, log to `logs/index.log`, and show a progress bar on a terminal.

    Every rejected file is listed by name in the log.

    Args:
        home: the home that stores the index.
        wait: whether to wait while a run uses the home.
        quiet: whether to show no progress bar.

    Yields:
        What is called with the number of files read and of all files.

    Raises:
        InterruptedRunError: interrupted from the keyboard.
    """
    console = open_console(stderr=True)
    with (
        build_lock(home, wait=wait, say=lambda text: console.print(text, style="yellow")),
        run_log(home.logs / "index.log", None),
    ):
        remove_leftovers(home)
        try:
            with _progress(console, quiet=quiet) as on_progress:
                yield on_progress
        except KeyboardInterrupt:
            raise InterruptedRunError(f"interrupted; {GOES_ON}") from None


@contextmanager
def _progress(console: Console, *, quiet: bool) -> Iterator[Progress]:
    bar = bars.Progress(
        bars.TextColumn("reading headers"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeRemainingColumn(),
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
