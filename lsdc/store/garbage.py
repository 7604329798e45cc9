"""Garbage collection in a home: superseded results and leftovers that no run uses."""

import json
import logging
import re
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from lsdc.errors import DataError
from lsdc.store.files import write_text
from lsdc.store.home import SHARDS, Home, find_leftovers
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import describe_age, find_put_aside
from lsdc.store.runs import list_runs

log = logging.getLogger(__name__)

_RESULT = re.compile("[0-9a-f]{16}")  # names of result folders
_NOTES = "rests-on.json"
_SO_FAR = "rests-on-so-far.json"  # of a run that is active, or did not finish


@dataclass(frozen=True)
class Garbage:
    """A file or folder that may be deleted, and why."""

    path: Path
    why: str
    bytes: int


def pin_results(home: Home, run: str, manifests: list[Manifest]) -> None:
    """Record all results that a finished run uses; `find_garbage` spares them.

    An earlier record of these and more (a submission also uses test studies) is kept.
    """
    folder = home.run(run)
    paths = {manifest.path for manifest in manifests}
    if not paths <= _readable(folder / _NOTES):
        _write(folder / _NOTES, paths)
    (folder / _SO_FAR).unlink(missing_ok=True)


def pin_so_far(home: Home, run: str, manifests: Sequence[Manifest]) -> None:
    """Record results of an active run; `find_garbage` spares them, so that it can resume."""
    notes = home.run(run) / _SO_FAR
    paths, before = {manifest.path for manifest in manifests}, _readable(notes)
    if not paths <= before:
        _write(notes, paths | before)


def pinned_results(home: Home, run: str) -> list[Path]:
    """Return the folders of the results that a run uses; empty if there is no such run.

    Raises:
        DataError: the record of its results cannot be read.
    """
    return [home.root / path for path in _read(home.run(run) / _NOTES)]


def kept_results(home: Home, run: str) -> list[Path]:
    """Return the folders of the results that a run uses or has made so far.

    Raises:
        DataError: a record of its results cannot be read.
    """
    so_far = [home.root / path for path in _read(home.run(run) / _SO_FAR)]
    return list(dict.fromkeys([*pinned_results(home, run), *so_far]))


def is_unfinished(home: Home, run: str) -> bool:
    """Return whether a run has made results since it last finished."""
    return (home.run(run) / _SO_FAR).is_file()


def _write(notes: Path, paths: Collection[str]) -> None:
    write_text(notes, json.dumps(sorted(paths), indent=2) + "\n")


def _readable(notes: Path) -> set[str]:
    """Return the recorded paths; none if unreadable, as the record is rewritten next."""
    try:
        return set(_read(notes))
    except DataError as error:
        log.warning("%s; this run replaces it now", error)
        return set()


def _read(notes: Path) -> list[str]:
    if not notes.is_file():
        return []
    try:
        return [str(path) for path in json.loads(notes.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{notes}: expected a list of results, found something else; repeat the run to rewrite "
            "the file, or delete it, and 'lsdc clean' deletes the results that only this run uses"
        ) from error


def find_garbage(
    home: Home, *, removed: Collection[str] = (), put_aside: bool = False
) -> list[Garbage]:
    """Find everything that no run needs; call it under the build lock only.

    Files that lsdc did not make and the targets of links are left alone.

    Args:
        home: home to search.
        removed: runs to delete as well, with the results that they alone use.
        put_aside: whether to include superseded folds that hold a training.
    """
    by_run = {run: kept_results(home, run) for run in list_runs(home) if run not in removed}
    kept = {path for paths in by_run.values() for path in paths}
    # All other folders of the home belong to stages.
    apart = {home.runs, home.replaced, home.prefect, home.logs, home.headers, *home.phantoms}
    found = {home.run(run): _why_removed(home.run(run), by_run) for run in removed}
    found |= {
        result: f"{stage.name} that no run uses, {age_of(result)} old"
        for stage in _own(home.root)
        if stage not in apart
        for result in _own(stage)
        if _RESULT.fullmatch(result.name) and result not in kept
    }
    unfinished = _own(home.root / SHARDS)
    found |= dict.fromkeys(unfinished, "partial results of a run that did not finish")
    found |= {
        fold.path: f"{fold}, superseded"
        for fold in find_put_aside(home)
        if put_aside or not fold.holds_training
    }
    found |= dict.fromkeys(find_leftovers(home), "left by a killed run")
    found = {path: why for path, why in found.items() if not found.keys() & set(path.parents)}
    return [Garbage(path, why, count_bytes(path)) for path, why in sorted(found.items())]


def _why_removed(folder: Path, by_run: Mapping[str, Sequence[Path]]) -> str:
    """Say which runs use results in the folder of a run that is named for removal."""
    users = [run for run, paths in by_run.items() if any(folder in path.parents for path in paths)]
    if not users:
        return "named for removal"
    return f"named for removal, but used by {', '.join(users)}, which cannot predict without it"


def age_of(path: Path) -> str:
    """Describe how long ago a file or folder was last changed."""
    return describe_age(max(0.0, time.time() - path.stat().st_mtime))


def remove(path: Path) -> None:
    """Remove a file, a folder with its contents, or a link without its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def count_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder, without the targets of links."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(status.st_size for file in files if S_ISREG((status := file.lstat()).st_mode))


def _own(folder: Path) -> list[Path]:
    """Return the subfolders of a folder in the home, without links."""
    if folder.is_symlink():
        return []
    return [each for each in folder.glob("[!.]*") if each.is_dir() and not each.is_symlink()]
