"""`lsdc predict`: predict any DICOM studies with the models of a run."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.predict.models import TrainedModels, models_of_run
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome
from lsdc.challenges.lumbar.predict.studies import LOG, Prediction, Progress, predict_studies
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.render.fitted_tables import Column, FittedTable
from lsdc.cli.streams import open_console
from lsdc.dicom_index.quarantine import group_reasons
from lsdc.errors import InterruptedRunError
from lsdc.messages import counted, few
from lsdc.run_context import own_run_context
from lsdc.store.home import resolve_home
from tasks.device import require_device
from tasks.request import Device
from tasks.run import usable_threads

_MOST_STUDIES, _MOST_SERIES, _MOST_REASONS = 6, 4, 3


def predict(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="Folder with DICOM studies in any layout, or with the competition's "
            "test_series_descriptions.csv and test_images.",
        ),
    ],
    run: Annotated[
        str,
        typer.Option(help="Name of the run: its folder in runs/, such as demo or demo@folds-3."),
    ],
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results; earlier ones are replaced.",
            show_default="predictions-RUN",
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Device that predicts.")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of threads.", show_default="LSDC_THREADS, else one per usable core"
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw a picture of each study.")] = True,
    as_json: AsJson = False,
) -> None:
    """Predict any DICOM studies with the models of a run; no training data is needed."""
    require_device(device)
    models = models_of_run(resolve_home(home), run)
    target = out or Path(f"predictions-{run}")
    with _shown(open_console(stderr=True)) as on_progress, own_run_context():
        try:
            prediction = predict_studies(
                folder,
                models,
                target,
                device=device,
                threads=threads or usable_threads(),
                pictures=pictures,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted, so {target} has no results but {LOG}; run the same command again"
            ) from None
    if as_json:
        typer.echo(json.dumps(_summary(prediction, models, target), indent=2))
    else:
        _show(prediction, models, open_console())


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Show the progress on a terminal."""
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task("reading headers", total=None)

        def on_progress(progress: Progress) -> None:
            bar.update(
                task,
                description=progress.words,
                completed=progress.done,
                total=progress.studies or None,
            )

        yield on_progress


def _summary(prediction: Prediction, models: TrainedModels, out: Path) -> dict[str, Any]:
    studies = prediction.studies
    return {
        "run": models.name,
        "folds": list(models.folds),
        "out": str(out),
        "files": [str(path) for path in prediction.files],
        "studies": len(studies),
        "by_prior": [study.spelled for study in prediction.from_prior],
        "extra_or_missing_vertebra": [
            study.spelled for study in studies if study.names and study.names.extra_or_missing
        ],
        "doubts": {study.spelled: study.doubts for study in studies if study.doubts},
        "left_out": {
            study.spelled: left
            for study in studies
            if (left := {str(s.series_id): s.left_out for s in study.series if s.left_out})
        },
        "quarantined": len(prediction.quarantine),
        "other_files": int(prediction.others["files"].sum()),
        "rows_of_unknown_studies": prediction.unknown_rows,
        "seconds": round(prediction.seconds, 1),
    }


def _show(prediction: Prediction, models: TrainedModels, console: Console) -> None:
    """Print what was predicted, what is doubtful, what was left out, and the files."""
    studies = prediction.studies
    each = f", {prediction.seconds / len(studies):.1f} s a study" if studies else ""
    console.print(
        f"{models.name}, {counted(len(models.folds), 'fold')}: {counted(len(studies), 'study')} "
        f"in {prediction.seconds:.0f} s{each}; {len(prediction.from_prior)} by the prior alone",
        highlight=False,
    )
    if len(studies) == 1 and not prediction.from_prior:
        console.print(_grades_table(studies[0], prediction.rows))
    _show_doubts(studies, console)
    _show_left_out(studies, console)
    _show_files(prediction, console)
    for path in prediction.files:
        console.print(path, soft_wrap=True, highlight=False)


def _grades_table(study: StudyOutcome, rows: pl.DataFrame) -> FittedTable:
    """Return the likeliest grade of each level and condition, with its probability."""
    found = {
        (row["level"], row["condition"]): max((row[name], name) for name in PROBABILITIES)
        for row in rows.iter_rows(named=True)
    }
    levels = [str(level) for level in LEVELS]
    sure = [study.names.levels[level].confidence if study.names else 0.0 for level in levels]
    columns = [
        Column("level", [level.upper().replace("_", "/") for level in levels], is_text=True),
        Column("name", [f"{share:.2f}" for share in sure]),
    ]
    for condition in CONDITIONS:
        cells = [found[level, str(condition)] for level in levels]
        shown = [f"{name.partition('_')[0]} {100 * share:.0f}" for share, name in cells]
        columns.append(Column(_short_name(condition), shown))
    return FittedTable(columns, title="Likeliest grade with its probability in per cent")


def _show_doubts(studies: Sequence[StudyOutcome], console: Console) -> None:
    doubtful = [study for study in studies if study.doubts]
    if not doubtful:
        return
    # Those that are predicted by the prior, and those whose names may be wrong, come first.
    order = sorted(
        doubtful,
        key=lambda each: (
            not each.why_prior,
            not (each.names and each.names.extra_or_missing),
        ),
    )
    shown = order[:_MOST_STUDIES]
    names, folders = [study.spelled for study in shown], [study.folder for study in shown]
    doubts = ["; ".join(study.doubts) for study in shown]
    if len(order) > len(shown):
        names.append("...")
        folders.append("")
        doubts.append(f"{len(order) - len(shown)} more, in predictions.json")
    columns = [
        Column("study", names),
        Column("folder", folders, is_text=True, rank=1),
        Column("doubt", doubts, is_text=True),
    ]
    console.print(FittedTable(columns))


def _show_left_out(studies: Sequence[StudyOutcome], console: Console) -> None:
    left = [
        f"{study.spelled}/{series.series_id}: {series.left_out}"
        for study in studies
        for series in study.series
        if series.left_out
    ]
    if left:
        console.print(f"{counted(len(left), 'series')} left out:", style="yellow")
        for line in left[:_MOST_SERIES]:
            console.print(f"  {line}", highlight=False, markup=False)
        if len(left) > _MOST_SERIES:
            console.print(f"  {len(left) - _MOST_SERIES} more, in predictions.json", style="dim")


def _show_files(prediction: Prediction, console: Console) -> None:
    for count, reason, path in group_reasons(prediction.quarantine).head(_MOST_REASONS).iter_rows():
        console.print(
            f"{counted(count, 'file')} cannot be used: {reason} ({path})",
            style="yellow",
            highlight=False,
            markup=False,
        )
    if len(prediction.others):
        kinds = [f"{count} {what}" for count, what, _ in prediction.others.iter_rows()]
        console.print(f"other files, not read: {few(kinds)}", style="dim", highlight=False)
    if prediction.unknown_rows:
        rows = counted(prediction.unknown_rows, "row")
        line = f"{rows} of sample_submission.csv: no such study in the folder, so the prior"
        console.print(line, style="yellow", highlight=False)


def _short_name(condition: Condition) -> str:
    names = {"spinal": "canal", "foraminal": "foramen", "subarticular": "recess"}
    side = {Side.LEFT: " L", Side.RIGHT: " R", None: ""}[condition.side]
    return f"{names[condition.pooled]}{side}"
