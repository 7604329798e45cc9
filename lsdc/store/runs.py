"""The runs of a home. Each has a folder in `runs/`; experiment, data and settings identify it.

The first run of an experiment has the experiment's name; a run on other data or with other settings
is named EXPERIMENT@DIFFERENCE. `run.json` in the folder describes the run. A later run is the same
if experiment and settings are equal and its training tables have the same content or the same
location. So data may be moved, corrected, or get another test set.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from lsdc.errors import DataError
from lsdc.names import BETWEEN, as_name, join_names
from lsdc.store.experiment_lock import find_occupied
from lsdc.store.file_locks import file_lock
from lsdc.store.files import write_text
from lsdc.store.home import TRAINED, Home

RECORD = "run.json"
# The settings of a run, kept beside its results, as presets may change later.
EXPERIMENT_FILE = "experiment.json"
_MOST_WORDS = 2  # differences named in a folder name; more do not fit


class RunRecord(BaseModel):
    """The description of a run.

    Attributes:
        experiment: name of the experiment.
        challenge: name of the challenge that the experiment belongs to; None in records of early
            versions.
        data: folder of the competition, or `phantom`.
        tables: digest of the training tables; None for the phantom.
        settings: all settings that affect the result, by name, including the experiment's.
        changed: settings that override those of the experiment.
        begun: time when the folder was created.
    """

    model_config = ConfigDict(frozen=True)

    experiment: str
    challenge: str | None = None
    data: str
    tables: str | None
    settings: dict[str, Any]
    changed: dict[str, Any] = {}
    begun: datetime

    def is_on_same_data(self, other: "RunRecord") -> bool:
        """Return whether the training tables have the same content or the same location."""
        return self.data == other.data or self.has_same_tables(other)

    def has_same_tables(self, other: "RunRecord") -> bool:
        """Return whether the training tables have the same content."""
        return self.tables is not None and self.tables == other.tables

    def differences(self, other: "RunRecord") -> dict[str, Any]:
        """Return the settings that differ from another run's, with this run's values.

        A setting that only one of them has was added or removed since, and is ignored.
        """
        return {
            name: value
            for name, value in self.settings.items()
            if name in other.settings and other.settings[name] != value
        }

    def is_same(self, other: "RunRecord") -> bool:
        """Return whether another record is of the same run."""
        if self.experiment != other.experiment or self.differences(other):
            return False
        return self.is_on_same_data(other)

    def __str__(self) -> str:
        """Return the experiment, its data and the changed settings."""
        changed = ", ".join(f"{name}={value}" for name, value in self.changed.items())
        return f"{self.experiment} on {self.data}" + (f" with {changed}" if changed else "")


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of the run in a folder; None if there is none.

    Raises:
        DataError: the record cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise DataError(
            f"{path}: expected the description of a run, found something else; remove this file, "
            "and the next run of that name creates it again"
        ) from error


def list_runs(home: Home) -> dict[str, RunRecord | None]:
    """Return the runs of a home by name; other entries of `runs/` are ignored."""
    return {folder.name: read_record(folder) for folder in home.run_folders()}


def stored_score(folder: Path) -> float | None:
    """Return the score in a run's folder; None without one that can be read."""
    try:
        return float(json.loads((folder / "scores.json").read_text(encoding="utf-8"))["score"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged, or without a score
        return None


@contextmanager
def locked_run_folder(
    home: Home, record: RunRecord, lock_folder: Callable[[str], Any], *, say: Callable[[str], None]
) -> Iterator[str]:
    """Yield the name of the run's folder, locked for it; the folder is created if the run is new.

    An unused folder in which nothing was trained is taken over by the next run.

    Args:
        home: home of the run.
        record: description of the run.
        lock_folder: returns a context manager that locks the folder of the given name for the run.
        say: called if the run's data changed, or if its folder has another name than usual.
    """
    while True:
        with _lock(home):
            name = _found(home, record, say)
        with lock_folder(name):
            with _lock(home):  # another run may have taken it over before we locked it
                written = read_record(home.run(name))
                is_ours = written is not None and written.is_same(record)
            if is_ours:
                yield name
                return


def _lock(home: Home) -> Any:
    return file_lock(home.root / ".runs.lock")


def _found(home: Home, record: RunRecord, say: Callable[[str], None]) -> str:
    """Find or name the run's folder, write its record and return its name."""
    runs = list_runs(home)
    name = _same(runs, record)
    if name is None:
        name = _new_name(home, runs, record)
        if name != record.experiment:
            say(f"runs/{name}: a new folder{_why(record, runs.get(record.experiment))}")
    elif (before := runs[name]) is not None:
        if before.data != record.data:
            say(f"runs/{name}: resumes the run on the same training tables in {before.data}")
        elif before.tables != record.tables:
            say(
                f"runs/{name}: the training tables of {record.data} have changed; results that "
                "depend on them are recomputed, and folds trained on the old ones move to replaced/"
            )
        record = record.model_copy(update={"begun": before.begun})
    if runs.get(name) != record:
        write_text(home.run(name) / RECORD, record.model_dump_json(indent=1) + "\n")
    return name


def _same(runs: dict[str, RunRecord | None], record: RunRecord) -> str | None:
    """Return the existing run that is the same; of several, one with the same tables."""
    same = {name: each for name, each in runs.items() if each is not None and each.is_same(record)}
    if same:
        return max(
            same, key=lambda name: (same[name].has_same_tables(record), same[name].begun, name)
        )
    # Runs of earlier versions have no record.
    first = record.experiment
    return first if first in runs and runs[first] is None else None


def _new_name(home: Home, runs: dict[str, RunRecord | None], record: RunRecord) -> str:
    in_use = find_occupied(home)
    taken = {name.casefold() for name in runs if name in in_use or has_trained(home.run(name))}
    if record.experiment.casefold() not in taken:
        return record.experiment
    words = _words(record, runs.get(record.experiment))
    names = [words] if words else []
    number = 2
    while not names or f"{record.experiment}{BETWEEN}{names[-1]}".casefold() in taken:
        names.append("-".join(filter(None, [words, str(number)])))
        number += 1
    return f"{record.experiment}{BETWEEN}{names[-1]}"


def _why(record: RunRecord, first: RunRecord | None) -> str:
    """Explain how a run differs from the first one of its experiment, for a message."""
    if first is None:
        return ""
    other = [] if record.is_on_same_data(first) else [f"data {record.data}"]
    other += [f"{name}={value}" for name, value in record.differences(first).items()]
    return f", because runs/{record.experiment} holds {first}, and this run has {', '.join(other)}"


def has_trained(folder: Path) -> bool:
    """Return whether a run's folder holds any training, finished or not."""
    return any(any(folder.glob(name)) for name in (*TRAINED, "oof.parquet", "scores.json"))


def _words(record: RunRecord, first: RunRecord | None) -> str:
    """Return how a run differs from the first one of its experiment, as part of a name."""
    if first is None:
        return ""
    other_data = not record.is_on_same_data(first)
    words = [Path(record.data).name if other_data else ""]
    differences = record.differences(first)
    if len(differences) <= _MOST_WORDS:
        words += [
            f"{name.rpartition('.')[2]}-{value}" for name, value in sorted(differences.items())
        ]
    return join_names(map(as_name, words))
