"""`lsdc inspect`: draw one study with the results of a run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import home_option
from lsdc.errors import DataError
from lsdc.names import BETWEEN
from lsdc.store.garbage import pinned_results
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.runs import EXPERIMENT_FILE, list_runs


def inspect(
    study: Annotated[int, typer.Argument(help="Id of the study.")],
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
    experiment: Annotated[
        str,
        typer.Option(
            help="Name of the run: its folder in runs/, such as demo or demo@folds-3.",
            autocompletion=complete_runs,
        ),
    ] = "demo",
    out: Annotated[
        Path | None, typer.Option(help="PNG file to write.", show_default="STUDY.png")
    ] = None,
) -> None:
    """Draw one study: its points, chosen slices and crops, with distances in mm."""
    # Imported here, as they are slow to import.
    from lsdc.challenges.lumbar.report.sheet import write_sheet
    from lsdc.challenges.lumbar.report.study import gather_study
    from lsdc.challenges.lumbar.results import require_own_models

    opened = existing_home(resolve_home(home))
    target = out or Path(f"{study}.png")
    made_with = opened.run(experiment) / EXPERIMENT_FILE
    if not made_with.is_file():
        there = [
            name for name in list_runs(opened) if (opened.run(name) / EXPERIMENT_FILE).is_file()
        ]
        raise DataError(
            f"{opened.root}: no results of {experiment}; compute them with "
            f"'lsdc run-local --experiment {experiment.partition(BETWEEN)[0]}', or choose "
            f"{', '.join(there) or 'another home'}"
        )
    settings = json.loads(made_with.read_text(encoding="utf-8"))
    require_own_models(experiment, settings.get("members", ()))
    slices = _slices_of(settings, made_with)
    found = gather_study(study, pinned_results(opened, experiment), slices)
    write_sheet(found, target, experiment=experiment)
    typer.echo(target)


def _slices_of(settings: dict[str, Any], made_with: Path) -> SlicesConfig:
    """Return how the run chose slices, from its own record rather than the present preset."""
    try:
        return SlicesConfig.model_validate(settings["slices"])
    except (KeyError, ValidationError) as error:
        raise DataError(
            f"{made_with}: expected settings written by this version of lsdc, got those of "
            "another version; run the same 'lsdc run-local' again to update them"
        ) from error
