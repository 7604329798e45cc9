"""`lsdc predict`: predict any studies with the models of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from lsdc.challenges.registry import challenge_of_runs
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, Quiet, home_option
from lsdc.cli.streams import open_console, print_result
from lsdc.errors import InterruptedRunError
from lsdc.messages import counted
from lsdc.run_context import own_run_context
from lsdc.store.home import Home, resolve_home
from tasks.device import require_device, usable_threads
from tasks.request import Device

if TYPE_CHECKING:
    from rich.console import Console

    from lsdc.predict.progress import OnProgress
    from lsdc.predict.progress import Progress as Predicted


_THREADS = typer.Option(
    min=1, help="Number of threads.", show_default="LSDC_THREADS, else one per usable core"
)


def predict(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="Folder with DICOM studies or papyrus fragments in any layout, or of the run's "
            "competition with its test images.",
        ),
    ],
    run: Annotated[
        str,
        typer.Option(
            help="Name of the run: its folder in runs/, such as demo or demo@folds-3.",
            autocompletion=complete_runs,
        ),
    ],
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results; earlier ones are replaced.",
            show_default="predictions-RUN",
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Device that predicts.")] = "auto",
    threads: Annotated[int | None, _THREADS] = None,
    pictures: Annotated[bool, typer.Option(help="Draw a picture of each study.")] = True,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Predict any studies with the models of a run; no training data is needed.

    If it is stopped, run the same command again: it goes on after the studies that are done.
    """
    require_device(device)
    opened = Home(resolve_home(home))
    challenge = challenge_of_runs(opened, [run])
    target = out or Path(f"predictions-{run}")
    with _shown(quiet=quiet) as on_progress, own_run_context(), _interrupted(target):
        found = challenge.predict(
            opened,
            run,
            folder,
            target,
            device=device,
            threads=threads or usable_threads(),
            pictures=pictures,
            on_progress=on_progress,
        )
    print_result(found, as_json=as_json)


@contextmanager
def _interrupted(out: Path) -> Iterator[None]:
    """Say after an interrupt how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted; {out} keeps the blocks of studies that are done: run the same command "
            "again, and it goes on after them"
        ) from None


@contextmanager
def _shown(*, quiet: bool) -> Iterator["OnProgress"]:
    """Show the progress: a bar on a terminal; elsewhere a line for each tenth of the studies."""
    console = open_console(stderr=True)
    if quiet or not console.is_terminal:
        yield (lambda _: None) if quiet else _Lines(console)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task("reading headers", total=None)

        def on_progress(progress: "Predicted") -> None:
            bar.update(
                task,
                description=progress.words,
                completed=progress.done,
                total=progress.studies or None,
            )

        yield on_progress


class _Lines:
    """Prints a line whenever another tenth of the studies is predicted."""

    def __init__(self, console: "Console") -> None:
        self._console, self._begun, self._done = console, time.monotonic(), 0

    def __call__(self, progress: "Predicted") -> None:
        done = int(progress.done)
        if not done or 10 * done // progress.studies <= 10 * self._done // progress.studies:
            return
        self._done = done
        seconds = time.monotonic() - self._begun
        every = counted(progress.studies, progress.unit)
        words = f"{done:,} of {every} predicted after {seconds:.0f} s"
        self._console.print(words, highlight=False)
