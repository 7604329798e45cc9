"""`lsdc score`: the competition's metric for a table of predictions."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lsdc.challenges.lumbar.competition.predictions import read_predictions
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.scoring.metric import Score
from lsdc.challenges.lumbar.scoring.metric import score as score_predictions
from lsdc.challenges.lumbar.scoring.prior import weighted_prior
from lsdc.cli.options import AsJson
from lsdc.cli.render.fitted_tables import Column, FittedTable
from lsdc.cli.streams import open_console


def score(
    predictions: Annotated[
        Path, typer.Argument(help="CSV or Parquet file with row_id, normal_mild, moderate, severe.")
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder with train.csv; no other file is read.")
    ],
    as_json: AsJson = False,
) -> None:
    """Score predictions with the competition's metric; lower is better."""
    labels = read_labels(data)
    result = score_predictions(labels, read_predictions(predictions), str(predictions))
    prior = score_predictions(labels, weighted_prior(labels), "weighted prior")
    if as_json:
        typer.echo(json.dumps({**result.as_dict(), "weighted_prior": prior.as_dict()}, indent=2))
        return
    console = open_console()
    console.print(_as_table(result, prior))
    if result.unscored_parts:
        parts = ", ".join(result.unscored_parts)
        console.print(f"left out of the mean, as they have no labelled row: {parts}", style="dim")


def _as_table(result: Score, prior: Score) -> FittedTable:
    losses, beside = result.as_dict(), prior.as_dict()
    return FittedTable(
        [
            Column("part", list(losses), is_text=True),
            Column("predictions", [_as_text(loss) for loss in losses.values()]),
            Column("weighted prior", [_as_text(beside[part]) for part in losses]),
        ],
        title="Weighted log loss, lower is better",
        styles=["bold" if part == "score" else "" for part in losses],
    )


def _as_text(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.6f}"
