"""Runs, or tables of predictions, that a command reads."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.challenge import Challenge, Source
from lsdc.challenges.registry import challenge_of_runs, require_challenge_in
from lsdc.errors import DataError, SettingsError
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.runs import list_runs


def read_sources(
    command: str,
    runs: Sequence[str],
    predictions: Sequence[Path],
    *,
    data: Path | None,
    home: Path | None,
) -> tuple[Challenge, list[Source]]:
    """Read runs of a home, or tables of predictions with the labels of a competition's folder.

    Returns:
        The challenge that they belong to, and each run or table.

    Args:
        command: the name of the command, for messages.
        runs: names of runs.
        predictions: CSV or Parquet files, in place of runs.
        data: the folder with the labels, for predictions.
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
    if predictions:
        if data is None:
            raise SettingsError(
                "--predictions: expected --data as well, the folder with the labels, found none; "
                "add it"
            )
        challenge = require_challenge_in(data)
        return challenge, challenge.read_prediction_files(predictions, data)
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
    challenge = challenge_of_runs(opened, runs)
    return challenge, [challenge.read_run(opened, name) for name in runs]


def is_file(given: str) -> bool:
    """Return whether a member is a file: it exists, or is spelled as a path."""
    path = Path(given)
    return path.is_file() or len(path.parts) > 1 or path.suffix in (".csv", ".parquet")
