"""`lsdc inspect`: draw one study with the results of a run."""

from pathlib import Path
from typing import Annotated

import typer

from lsdc.challenges.registry import challenge_of_runs
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import home_option
from lsdc.errors import DataError
from lsdc.names import BETWEEN
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.runs import EXPERIMENT_FILE, list_runs


def inspect(
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
    experiment: Annotated[
        str,
        typer.Option(
            help="Name of the run: its folder in runs/, such as demo or demo@folds-3.",
            autocompletion=complete_runs,
        ),
    ] = "demo",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: PNG, or HTML.", show_default="STUDY.png or .html"),
    ] = None,
) -> None:
    """Draw one study with what a run made of it: slices, points or predictions, distances."""
    opened = existing_home(resolve_home(home))
    if not (opened.run(experiment) / EXPERIMENT_FILE).is_file():
        there = [
            name for name in list_runs(opened) if (opened.run(name) / EXPERIMENT_FILE).is_file()
        ]
        raise DataError(
            f"{opened.root}: no results of {experiment}; compute them with "
            f"'lsdc run-local --experiment {experiment.partition(BETWEEN)[0]}', or choose "
            f"{', '.join(there) or 'another home'}"
        )
    challenge = challenge_of_runs(opened, [experiment])
    target = out or Path(f"{study}{challenge.drawn_as}")
    challenge.inspect(opened, experiment, study, target)
    typer.echo(target)
