"""`lsdc inspect`: what the model is shown of a study, on one sheet."""

from pathlib import Path
from typing import Annotated

import typer

from lsdc.errors import DataError
from lsdc.experiments.presets import load_experiment
from lsdc.report.crops import write_study_sheet
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.rubbish import referred


def inspect(
    study: Annotated[int, typer.Argument(help="The study's id.")],
    home: Annotated[
        Path | None, typer.Option(help="The home to look into [LSDC_HOME, else ./lsdc-home].")
    ] = None,
    experiment: Annotated[str, typer.Option(help="Whose crops are shown.")] = "demo",
    out: Annotated[Path | None, typer.Option(help="The PNG to write [STUDY.png].")] = None,
) -> None:
    """Write the crops of a study as a sheet: a row a level, the slices in the model's order."""
    opened = existing_home(resolve_home(home))
    target = out or Path(f"{study}.png")
    crops = [path for path in referred(opened, experiment) if path.parent.name == "crops"]
    if not crops:
        raise DataError(
            f"{opened.root}: no crops of {experiment}; make them with "
            f"'lsdc run-local --experiment {experiment}'"
        )
    write_study_sheet(study, crops, load_experiment(experiment).slices, target)
    typer.echo(target)
