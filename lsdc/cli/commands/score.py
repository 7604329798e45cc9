"""`lsdc score`: the competition's metric for a table of predictions."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lsdc.challenges.challenge import Scored
from lsdc.challenges.registry import require_challenge_in
from lsdc.cli.options import AsJson
from lsdc.cli.streams import open_console
from lsdc.experiments.metric import Metric
from lsdc.report.fitted_tables import Column, FittedTable


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet file with the columns of a submission, such as row_id, "
            "normal_mild, moderate, severe, or ID, Label."
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder with the table of labels; no other file is read.")
    ],
    as_json: AsJson = False,
) -> None:
    """Score predictions with the competition's metric."""
    challenge = require_challenge_in(data)
    result = challenge.score(predictions, data)
    if as_json:
        beside = {result.prior_name.replace(" ", "_"): dict(result.prior)}
        typer.echo(json.dumps({**result.losses, **beside}, indent=2))
        return
    console = open_console()
    console.print(_as_table(result, challenge.experiments.config.metric))
    if parts := ", ".join(part for part, loss in result.losses.items() if loss is None):
        console.print(f"left out of the mean, as they have no labelled row: {parts}", style="dim")


def _as_table(result: Scored, metric: Metric) -> FittedTable:
    losses = result.losses
    return FittedTable(
        [
            Column("part", list(losses), is_text=True),
            Column("predictions", [_as_text(loss) for loss in losses.values()]),
            Column(result.prior_name, [_as_text(result.prior[part]) for part in losses]),
        ],
        title=metric.title,
        styles=["bold" if part == "score" else "" for part in losses],
    )


def _as_text(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.6f}"
