"""`lsdc report`: write the report of runs, or of tables of predictions, as an HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import Quiet, home_option
from lsdc.cli.sources import read_sources
from lsdc.errors import SettingsError
from lsdc.names import as_name, join_names
from lsdc.report import REPORT
from tasks.request import MOST_IMAGES


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Names of runs: folders in runs/, such as demo or demo@folds-3. Several are "
            "compared with the first.",
            autocompletion=complete_runs,
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV or Parquet file with the columns of a submission, in place of "
            "runs. May be repeated."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with the table of labels, for --predictions.")
    ] = None,
    home: Annotated[Path | None, home_option("Home of the runs.")] = None,
    images: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_IMAGES,
            help="Number of cases of the first run to show with the images that the model saw; 0 "
            "for none. An ensemble has none. 60 cases take about a minute on two cores.",
        ),
    ] = 60,
    out: Annotated[
        Path, typer.Option(help="Folder to write NAME-report.html to, by the names of the runs.")
    ] = Path(),
    quiet: Quiet = False,
) -> None:
    """Write a report as one HTML page: scores, where they are lost, and cases to look at.

    The page needs no network. A run writes it, too, with fewer images, as report.html in its
    folder.
    """
    if out.suffix.lower() in {".html", ".htm"} or out.is_file():
        raise SettingsError(
            f"--out {out}: expected a folder, got the name of a file; the page in that folder is "
            "named after the runs, such as demo-report.html"
        )
    challenge, sources = read_sources("report", runs or [], predictions or [], data=data, home=home)
    names = join_names(as_name(source.name) for source in sources)
    path = out / (f"{names}-{REPORT}" if names else REPORT)

    def say(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    challenge.write_report(sources, path, images=images, say=say)
    typer.echo(path)
