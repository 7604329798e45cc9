"""`lsdc explain`: show what a study's predictions rest on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.streams import open_console
from lsdc.store.home import existing_home, resolve_home
from tasks.request import Device


def explain(
    study: Annotated[int, typer.Argument(help="Id of the study.")],
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
    from lsdc.challenges.lumbar.explain.overview import write_overview
    from lsdc.challenges.lumbar.explain.study import explain_study
    from lsdc.challenges.lumbar.explain.trained import TrainedRun
    from lsdc.cli.render import explain_tables as tables

    trained = TrainedRun(existing_home(resolve_home(home)), run)
    found = explain_study(trained, study, device=device)
    picture = (out or trained.folder / "explain") / f"{study}.png"
    write_overview(found, picture)
    if as_json:
        typer.echo(json.dumps({**found.as_dict(), "picture": str(picture)}, indent=1))
        return
    console = open_console()
    console.print(f"Study {study} ({found.study.split}), run {run}: {found.predicted_by}")
    if long:
        console.print(tables.levels_table(found))
    else:
        for line in tables.levels_lines(found):
            console.print(line, highlight=False)
    if found.extra_vertebra:
        console.print(
            "Level names are doubtful: an extra or missing vertebra, or no sacrum in view.",
            style="yellow",
        )
    if long:
        console.print(tables.cases_table(found))
    else:
        console.print(tables.grid_table(found))
        console.print(tables.grid_legend(found), style="dim", highlight=False)
    console.print(str(picture), style="dim", soft_wrap=True)
