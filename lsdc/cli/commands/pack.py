"""`lsdc pack`: put finished runs into a folder that predicts without a network."""

from pathlib import Path
from typing import Annotated

import typer

from lsdc.challenges.registry import challenge_of_runs
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.streams import print_result
from lsdc.store.home import Home, resolve_home


def pack(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Names of runs: folders in runs/. Of several, the mean is predicted. An ensemble "
            "is named alone.",
            autocompletion=complete_runs,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="A new folder, or an earlier bundle, which is replaced.")
    ],
    home: Annotated[Path | None, home_option("Home of the runs.")] = None,
    wheels: Annotated[
        bool, typer.Option("--wheels", help="Bring the libraries that the machine lacks.")
    ] = False,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Output of 'pip freeze' on the machine that will predict.",
            show_default="Kaggle's notebook",
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            help="Python's version there, such as 3.12.", show_default="Kaggle's, or this one"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put runs into one folder that predicts a test folder without a network."""
    opened = Home(resolve_home(home))
    challenge = challenge_of_runs(opened, runs)
    found = challenge.pack(opened, runs, out, image=image, python=python, wheels=wheels)
    print_result(found, as_json=as_json)
