"""`lsdc explain`: show what a study's predictions rest on."""

from pathlib import Path
from typing import Annotated

import typer

from lsdc.challenges.registry import challenge_of_runs
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.streams import print_result
from lsdc.store.home import existing_home, resolve_home
from tasks.request import Device


def explain(
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    run: Annotated[
        str,
        typer.Option(
            help="Name of the run: its folder in runs/, such as demo@folds-3.",
            autocompletion=complete_runs,
        ),
    ] = "demo",
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the picture STUDY.png to.", show_default="runs/RUN/explain"
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Device to compute on.")] = "auto",
    long: Annotated[
        bool,
        typer.Option("--long", help="Print a row per cell, with each fold and slice distances."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Explain a study: predictions by fold, the slices and places they rest on, and a picture.

    A training study is explained by the fold that was not trained on it, a test study by all folds.
    The picture shows, for each level and condition, the slice that counts most.
    """
    opened = existing_home(resolve_home(home))
    challenge = challenge_of_runs(opened, [run])
    found = challenge.explain(opened, run, study, out=out, device=device, long=long)
    print_result(found, as_json=as_json)
