"""Runs, or tables of predictions, that a command reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsdc.errors import DataError, SettingsError
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.runs import list_runs

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.report.figures.sources import Source


def read_sources(
    command: str,
    runs: Sequence[str],
    predictions: Sequence[Path],
    *,
    data: Path | None,
    home: Path | None,
) -> "Sequence[Source]":
    """Read runs of a home, or tables of predictions with the labels of a competition's folder.

    Args:
        command: the name of the command, for messages.
        runs: names of runs.
        predictions: CSV or Parquet files, in place of runs.
        data: the folder with train.csv, for predictions.
        home: the home of the runs.

    Raises:
        SettingsError: both or neither are given, predictions without labels, or a run twice.
        DataError: there is no such run or table.
    """
    if bool(runs) == bool(predictions):
        raise SettingsError(
            f"{command}: expected names of runs, or --predictions FILE --data DIR, found "
            f"{'both' if runs else 'neither'}; 'lsdc experiments compare' lists the runs"
        )
    # They load polars, which the help does not need.
    from lsdc.challenges.lumbar.report.figures.sources import read_prediction_files, read_run

    if predictions:
        if data is None:
            raise SettingsError(
                "--predictions: expected --data as well, the folder with train.csv, found none; "
                "add it"
            )
        return read_prediction_files(predictions, data)
    if data is not None:
        raise SettingsError(
            "--data: only used with --predictions, as a run has its labels; leave it out"
        )
    opened = existing_home(resolve_home(home))
    there = list_runs(opened)
    for name in runs:
        if name not in there:
            raise DataError(
                f"{opened.root}: no run {name!r}, found {', '.join(there) or 'none'}; give one of "
                "these, or another --home"
            )
    if repeated := sorted({name for name in runs if list(runs).count(name) > 1}):
        raise SettingsError(f"{command}: run {', '.join(repeated)} given twice; give each run once")
    return [read_run(opened, name) for name in runs]
