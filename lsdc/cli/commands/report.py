"""`lsdc report`: write the report of runs, or of tables of predictions, as an HTML page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lsdc.cli.options import home_option
from lsdc.errors import DataError, SettingsError
from lsdc.report import REPORT
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.runs import list_runs

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.report.figures.sources import Source


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Names of runs: folders in runs/, such as demo or demo@folds-3. Several are "
            "compared with the first.",
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV or Parquet file with row_id, normal_mild, moderate, severe, in place of "
            "runs. May be repeated."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with train.csv, the labels of --predictions.")
    ] = None,
    home: Annotated[Path | None, home_option("Home of the runs.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder that report.html is written to.",
            show_default="the folder of the run; for several, or --predictions, the present one",
        ),
    ] = None,
) -> None:
    """Write a report as one HTML page: scores, where they are lost, and cases to look at.

    The page needs no network. A run writes it, too, as report.html in its folder.
    """
    if bool(runs) == bool(predictions):
        raise SettingsError(
            "report: expected names of runs, or --predictions FILE --data DIR, found "
            f"{'both' if runs else 'neither'}; 'lsdc experiments compare' lists the runs"
        )
    if runs:
        if data is not None:
            raise SettingsError(
                "--data: only used with --predictions, as a run has its labels; leave it out"
            )
        sources, own = _read_runs(runs, home)
        _write(sources, out or own)
        return
    if data is None:
        raise SettingsError(
            "--predictions: expected --data as well, the folder with train.csv, found none; add it"
        )
    from lsdc.challenges.lumbar.report.figures.sources import read_prediction_files

    _write(list(read_prediction_files(predictions or [], data)), out or Path())


def _read_runs(names: list[str], home: Path | None) -> tuple[list["Source"], Path]:
    """Return the runs, and the folder that their report is written to by default."""
    opened = existing_home(resolve_home(home))
    there = list_runs(opened)
    for name in names:
        if name not in there:
            raise DataError(
                f"{opened.root}: no run {name!r}, found {', '.join(there) or 'none'}; give one of "
                "these, or another --home"
            )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"report: run {', '.join(repeated)} given twice; give each run once")
    from lsdc.challenges.lumbar.report.figures.sources import read_run

    folder = opened.run(names[0]) if len(names) == 1 else Path()
    return [read_run(opened, name) for name in names], folder


def _write(sources: list["Source"], folder: Path) -> None:
    from lsdc.challenges.lumbar.report.write import write_report

    path = folder / REPORT
    write_report(sources, path)
    typer.echo(path)
