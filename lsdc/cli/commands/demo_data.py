"""`lsdc demo-data`: write a synthetic competition."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lsdc.cli.options import Quiet
from lsdc.cli.streams import open_console
from lsdc.messages import counted


class Grades(StrEnum):
    """The distribution of grades."""

    BALANCED = "balanced"
    REAL = "real"


class Geometry(StrEnum):
    """The patients' positions and the fields of view."""

    USUAL = "usual"
    HARD = "hard"


_GEOMETRY = typer.Option(
    help="usual: easy geometry; hard: oblique slices, scoliosis, shifted images, missing series."
)
_VERTEBRAE = typer.Option(
    min=4,
    max=6,
    help="Number of lumbar vertebrae: 5, 6 with an extra one, or 4 with one missing. Levels are "
    "named from the sacrum upwards.",
)
_SCATTER = typer.Option(
    help="Standard deviation of the random error of annotated points, in mm (real: about 1.3)."
)


def demo_data(
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    studies: Annotated[int, typer.Option(help="Number of training studies.")] = 40,
    test: Annotated[
        int, typer.Option(help="Number of test studies; in the first study, one series is missing.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same bytes.")] = 0,
    grades: Annotated[
        Grades,
        typer.Option(
            help="balanced: all grades are equally frequent; real: frequencies as in the "
            "competition."
        ),
    ] = Grades.BALANCED,
    geometry: Annotated[Geometry, _GEOMETRY] = Geometry.USUAL,
    scatter: Annotated[float, _SCATTER] = 0.0,
    vertebrae: Annotated[int, _VERTEBRAE] = 5,
    max_size: Annotated[int, typer.Option(help="Longest side of an image in pixels.")] = 320,
    quiet: Quiet = False,
) -> None:
    """Write a phantom: a synthetic competition whose answers are known."""
    # Imported here, as numpy and pydicom are slow to import.
    from lsdc.challenges.lumbar.phantom.study import Order
    from lsdc.challenges.lumbar.phantom.writer import write_phantom

    console = open_console(stderr=True)
    with Progress(
        TextColumn("writing studies"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    ) as progress:
        bar = progress.add_task("writing studies", total=studies + test)
        write_phantom(
            out,
            Order(
                studies=studies,
                test=test,
                seed=seed,
                grades=grades.value,
                geometry=geometry.value,
                scatter_mm=scatter,
                max_size=max_size,
                vertebrae=vertebrae,
            ),
            on_progress=lambda done, _total: progress.update(bar, completed=done),
        )
    typer.echo(
        f"{out}: {counted(studies, 'training study')} and {counted(test, 'test study')}; the "
        "correct answers are in answers/"
    )
