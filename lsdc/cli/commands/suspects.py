"""`lsdc suspects`: labels that the predictions contradict, for a person to look at."""

from pathlib import Path
from typing import Annotated

import typer

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.sources import read_sources
from lsdc.cli.streams import print_result


def suspects(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Name of a run: a folder in runs/, such as demo.",
            autocompletion=complete_runs,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet file with the columns of a submission, in place of a "
            "run. Its models must not have seen the labels."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with the table of labels, for --predictions.")
    ] = None,
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
    doubt: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Probability of all other grades together, from which to list."
        ),
    ] = 0.85,
    out: Annotated[Path | None, typer.Option(help="CSV file to write all of them to.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the labels that out-of-fold predictions contradict, the most doubtful first.

    A label may be wrong, or the model: look at the images. The setting labels.distrust leaves such
    labels out of training, by models that have seen neither the label nor the fold to predict.
    """
    challenge, (source,) = read_sources(
        "suspects",
        [run] if run else [],
        [predictions] if predictions else [],
        data=data,
        home=home,
    )
    print_result(challenge.list_suspects(source, doubt, out), as_json=as_json)
