"""What a home holds and what happens in it, at a glance: nothing is locked, nothing is written."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import free_bytes
from lsdc.store.garbage import is_unfinished, kept_results
from lsdc.store.home import Holder, Home, noted_holder
from lsdc.store.runs import read_record
from tasks.status.activity import Activity, process_lives, read_activities
from tasks.status.attempts import Attempt, last_attempt

_MOST_FILES = 20_000  # counted in one folder of the home


@dataclass(frozen=True)
class Size:
    """The size of a folder in the home.

    Attributes:
        name: its name in the home.
        results: the number of folders or files in it.
        bytes: the size of its files.
        is_complete: False if it has more files than were counted.
        changed: when the newest of these files changed, in seconds since 1970; 0 without files.
    """

    name: str
    results: int
    bytes: int
    is_complete: bool
    changed: float


@dataclass(frozen=True)
class RunStatus:
    """A run of a home.

    Attributes:
        name: its name.
        experiment: name of the experiment; empty if not known.
        data: folder of the competition, or `phantom`; empty if not known.
        state: running, finished, prepared (without scores yet), interrupted, postponed, failed,
            killed, or unfinished if it has no log.
        last: how the last attempt ended, where and why; empty while it runs, or without a log.
        score, prior: its score and the weighted prior's; None if it has none yet.
        marks: the caveats of the score: partial, selected.
        trained: the folds that are trained; of an ensemble, those that are scored.
        folds: the number of folds; None if not known.
        begun: when its folder was made; None if not known.
        changed: when something in its folder changed last.
        quarantined: the files that its stages could not use; None if no stage has run.
        size: the size of its folder.
        activities: the processes that work on it.
    """

    name: str
    experiment: str
    data: str
    state: str
    last: str
    score: float | None
    prior: float | None
    marks: tuple[str, ...]
    trained: tuple[int, ...]
    folds: int | None
    begun: datetime | None
    changed: datetime
    quarantined: int | None
    size: Size
    activities: tuple[Activity, ...]


@dataclass(frozen=True)
class Overview:
    """A home at a glance.

    Attributes:
        home: its folder.
        free_bytes: what is left on its disk.
        runs: its runs, the one that changed last first.
        stages: the sizes of the stages' results.
        others: the sizes of the other folders and of the catalog.
        holder: the process that has locked the home for a command that is no run, if any.
    """

    home: Path
    free_bytes: int
    runs: tuple[RunStatus, ...]
    stages: tuple[Size, ...]
    others: tuple[Size, ...]
    holder: Holder | None


def look(home: Home) -> Overview:
    """Return what the home holds, and what runs in it."""
    activities = read_activities(home)
    runs = [_run(home, folder, activities) for folder in home.run_folders()]
    other = (home.runs, home.replaced, home.prefect, home.logs, home.headers, *home.phantoms)
    folders = sorted(each for each in home.root.glob("[!.]*") if each.is_dir())
    named = [home.root / name for name in ("results", "shards")]
    sizes = {folder: _size(folder) for folder in [*folders, home.catalog]}
    return Overview(
        home=home.root,
        free_bytes=free_bytes(home.root),
        runs=tuple(sorted(runs, key=lambda run: run.changed, reverse=True)),
        stages=tuple(sizes[each] for each in folders if each not in (*other, *named)),
        others=tuple(
            sizes[each] for each in (*other, *named, home.catalog) if sizes.get(each, _NONE).results
        ),
        holder=_other_holder(home, activities),
    )


def as_json(value: Any) -> Any:
    """Return a value of an overview as JSON takes it."""
    if isinstance(value, Activity):
        return value.model_dump(mode="json") | {"is_alive": value.is_alive}
    if isinstance(value, Overview | RunStatus | Size | Holder):
        return {name: as_json(each) for name, each in vars(value).items()}
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return str(value) if isinstance(value, Path) else value


def _other_holder(home: Home, activities: list[Activity]) -> Holder | None:
    holder = noted_holder(home)
    if holder is None or process_lives(holder.host, holder.pid, holder.since) is False:
        return None
    known = {(each.host, each.pid) for each in activities}
    return None if (holder.host, holder.pid) in known else holder


def _run(home: Home, folder: Path, activities: list[Activity]) -> RunStatus:
    name, last = folder.name, last_attempt(home, folder.name, tail=True)
    mine = [each for each in activities if each.run == name]
    alive = tuple(each for each in mine if each.is_alive)
    scores, size = _scores(folder), _size(folder)
    damage, record, results = "", None, []
    try:
        record, results = read_record(folder), kept_results(home, name)
    except DataError as error:
        damage = str(error)
    if alive:
        state = "running"
    elif last is not None:
        state = last.state or "killed"
        if state == "finished" and not scores:  # a flow that only prepares the training
            state = "prepared"
    else:
        state = "finished" if scores and not is_unfinished(home, name) else "unfinished"
    fits = sorted(folder.glob("fold-*/fit.json"))
    folds = [fit.parent.name.removeprefix("fold-") for fit in fits]
    return RunStatus(
        name=name,
        experiment=record.experiment if record else "",
        data=record.data if record else "",
        state=state,
        last=damage or _last_words(state, last, mine),
        score=scores.get("score"),
        prior=(scores.get("weighted_prior") or {}).get("score"),
        marks=tuple(mark for mark in ("partial", "selected") if scores.get(mark)),
        trained=tuple(map(int, folds or scores.get("folds", {}))),  # an ensemble has none itself
        folds=record.settings.get("folds") if record else None,
        begun=record.begun if record else None,
        changed=datetime.fromtimestamp(size.changed or folder.stat().st_mtime).astimezone(),
        quarantined=_count_quarantined(results),
        size=size,
        activities=alive,
    )


def _last_words(state: str, last: Attempt | None, mine: list[Activity]) -> str:
    """Return how a run ended; of a killed one, what its process did when it was last seen."""
    if state == "running" or last is None:
        return ""
    if state != "killed":
        return str(last)
    seen = max(mine, key=lambda each: each.updated, default=None)
    if seen is None:
        return f"killed; it began at {last.begun:%Y-%m-%d %H:%M:%S}" if last.begun else "killed"
    doing = f" in {', '.join(each.name for each in seen.doing)}" if seen.doing else ""
    return f"killed{doing}; last seen at {seen.updated.astimezone():%Y-%m-%d %H:%M:%S}"


def _scores(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or damaged
        return {}
    return found if isinstance(found, dict) else {}


def _count_quarantined(results: list[Path]) -> int | None:
    """Return the number of files that these results list as unusable."""
    tables = [each / "quarantine.parquet" for each in results]
    there = [table for table in tables if table.is_file()]
    if not there:
        return None
    return len({path for table in there for path in read_parquet(table, ["path"])["path"]})


def _size(path: Path) -> Size:
    """Return the size of a file or a folder, counting a limited number of files."""
    count = total = 0
    changed, is_complete = 0.0, True
    for file in _files(path):
        if count == _MOST_FILES:
            is_complete = False
            break
        try:
            found = file.stat(follow_symlinks=False)
        except OSError:  # removed just now
            continue
        count, total, changed = count + 1, total + found.st_size, max(changed, found.st_mtime)
    results = len([*path.glob("[!.]*")]) if path.is_dir() else count
    return Size(path.name, results, total, is_complete, changed)


_NONE = Size("", 0, 0, True, 0)


def _files(path: Path) -> "Iterator[os.DirEntry[str] | Path]":
    if path.is_file():
        yield path
        return
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield entry
    except OSError:  # removed just now, or not readable
        return
