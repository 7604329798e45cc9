"""`lsdc suspects`: labels that the predictions contradict, for a person to look at."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.render.fitted_tables import Column, FittedTable
from lsdc.cli.sources import read_sources
from lsdc.cli.streams import open_console

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 15  # rows, so that the table fits on a screen of 24 lines


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
            help="CSV or Parquet file with row_id, normal_mild, moderate, severe, in place of a "
            "run. Its models must not have seen the labels."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with train.csv, the labels of --predictions.")
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
    (source,) = read_sources(
        "suspects",
        [run] if run else [],
        [predictions] if predictions else [],
        data=data,
        home=home,
    )
    from lsdc.challenges.lumbar.scoring.doubt import list_suspects
    from lsdc.store.files import write_atomic

    labels = source.scored.rows
    found = list_suspects(labels, doubt)
    if out is not None:
        with write_atomic(out) as temporary:
            found.write_csv(temporary)
    if as_json:
        facts = {"labels": len(labels), "doubt": doubt, "suspects": found.to_dicts()}
        typer.echo(json.dumps(facts, indent=2))
        return
    share = len(found) / len(labels)
    typer.echo(
        f"{source.name}: {len(found):,} of {len(labels):,} labels ({share:.1%}) with a doubt of "
        f"{doubt} or more"
    )
    _print(found, written=out is not None)


def _print(found: "pl.DataFrame", *, written: bool) -> None:
    """Print the first of them, and how many more there are."""
    console = open_console()
    if len(found):
        console.print(_as_table(found.head(_SHOWN)))
    if len(found) > _SHOWN and not written:
        console.print(f"and {len(found) - _SHOWN:,} more; --out FILE.csv writes all", style="dim")


def _as_table(found: "pl.DataFrame") -> FittedTable:
    words = {
        name: [str(each).replace("_", " ") for each in found[name]]
        for name in ("label", "likeliest")
    }
    return FittedTable(
        [
            Column("study", [str(study) for study in found["study_id"]]),
            Column(
                "condition", [each.replace("_", " ") for each in found["condition"]], is_text=True
            ),
            Column("level", [each.upper().replace("_", "/") for each in found["level"]]),
            Column("label", words["label"]),
            Column("predicted", words["likeliest"]),
            Column("doubt", [f"{each:.3f}" for each in found["doubt"]]),
        ]
    )
