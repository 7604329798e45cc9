"""What in a home no run refers to: results that others replaced, and leftovers."""

import json
import logging
import re
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from lsdc.errors import DataError
from lsdc.store.files import write_atomic
from lsdc.store.home import SHARDS, Home, find_leftovers
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import describe_age, find_put_aside
from lsdc.store.runs import list_runs

log = logging.getLogger(__name__)

_RESULT = re.compile("[0-9a-f]{16}")  # what results are called
_NOTES = "rests-on.json"
_SO_FAR = "rests-on-so-far.json"  # of a run that goes on, or did not end


@dataclass(frozen=True)
class Garbage:
    """A file or folder that may go, and why."""

    path: Path
    why: str
    bytes: int


def pin_results(home: Home, run: str, manifests: list[Manifest]) -> None:
    """Note which results a run rests on, once it has all; `find_garbage` spares them.

    Where it rested on these and more, as a submission does on the test studies, that stays.
    """
    folder = home.run(run)
    paths = {manifest.path for manifest in manifests}
    if not paths <= _readable(folder / _NOTES):
        _write(folder / _NOTES, paths)
    (folder / _SO_FAR).unlink(missing_ok=True)


def pin_so_far(home: Home, run: str, manifests: Sequence[Manifest]) -> None:
    """Note results of a run that goes on, which it finds again if it does not end."""
    notes = home.run(run) / _SO_FAR
    paths, before = {manifest.path for manifest in manifests}, _readable(notes)
    if not paths <= before:
        _write(notes, paths | before)


def pinned_results(home: Home, run: str) -> list[Path]:
    """The folders of the results that a run rests on; empty if there is no such run.

    Raises:
        DataError: what it rests on is written down, and cannot be read.
    """
    return [home.root / path for path in _read(home.run(run) / _NOTES)]


def kept_results(home: Home, run: str) -> list[Path]:
    """The folders of the results that a run rests on, and those that it has made so far.

    Raises:
        DataError: what it rests on is written down, and cannot be read.
    """
    so_far = [home.root / path for path in _read(home.run(run) / _SO_FAR)]
    return list(dict.fromkeys([*pinned_results(home, run), *so_far]))


def _write(notes: Path, paths: Collection[str]) -> None:
    with write_atomic(notes) as temporary:
        temporary.write_text(json.dumps(sorted(paths), indent=2) + "\n", encoding="utf-8")


def _readable(notes: Path) -> set[str]:
    """What is noted; nothing where that cannot be read, for it is about to be written anew."""
    try:
        return set(_read(notes))
    except DataError as error:
        log.warning("%s; it is written anew now", error)
        return set()


def _read(notes: Path) -> list[str]:
    if not notes.is_file():
        return []
    try:
        return [str(path) for path in json.loads(notes.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{notes}: expected a list of results, found something else; the same run once more "
            "writes it anew, or remove the file, and 'lsdc clean' takes what the run rests on"
        ) from error


def find_garbage(
    home: Home, *, removed: Collection[str] = (), put_aside: bool = False
) -> list[Garbage]:
    """All that may be removed without any run noticing; only under the build lock.

    What is not of our making is left alone, and so is what a link leads to.

    Args:
        home: the home.
        removed: runs that go as well, with what they alone rest on.
        put_aside: whether folds that hold a training go, which were put aside.
    """
    runs = list_runs(home)
    kept = {path for run in runs if run not in removed for path in kept_results(home, run)}
    # All other folders of the home are stages'.
    apart = {home.runs, home.replaced, home.prefect, home.logs, home.headers, home.phantom}
    found = {home.run(run): "asked for by name" for run in removed}
    found |= {
        result: f"{stage.name} of no run, {age_of(result)} old"
        for stage in _own(home.root)
        if stage not in apart
        for result in _own(stage)
        if _RESULT.fullmatch(result.name) and result not in kept
    }
    unfinished = _own(home.root / SHARDS)
    found |= dict.fromkeys(unfinished, "made so far by a run that did not end")
    found |= {
        fold.path: f"{fold}, put aside"
        for fold in find_put_aside(home)
        if put_aside or not fold.holds_training
    }
    found |= dict.fromkeys(find_leftovers(home), "left by a killed run")
    found = {path: why for path, why in found.items() if not found.keys() & set(path.parents)}
    return [Garbage(path, why, count_bytes(path)) for path, why in sorted(found.items())]


def age_of(path: Path) -> str:
    """How long ago a file or folder was last changed."""
    return describe_age(max(0.0, time.time() - path.stat().st_mtime))


def remove(path: Path) -> None:
    """Remove a file, a folder with all that is in it, or a link without what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def count_bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; what links lead to does not count."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(status.st_size for file in files if S_ISREG((status := file.lstat()).st_mode))


def _own(folder: Path) -> list[Path]:
    """The folders in one of the home's; where a link stands, what it leads to is not the home's."""
    if folder.is_symlink():
        return []
    return [each for each in folder.glob("[!.]*") if each.is_dir() and not each.is_symlink()]
