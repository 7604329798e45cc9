"""Superseded folds: find, describe and restore them.

They are kept in `replaced/`, in folders named by run, fold and training key. If the same training
is requested again, the folder is moved back to its run.
"""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_text
from lsdc.store.home import Home
from lsdc.store.runs import RECORD, RunRecord, read_record

_NAME = re.compile(r".+-(?:fold-\d+|judge-\d+-\d+)-([0-9a-f]{16}|unknown-\d+)")


@dataclass(frozen=True)
class Fold:
    """The folder of a fold, in its run or in `replaced/`.

    Attributes:
        path: the folder.
        record: record of its run; None if there is none.
        finished: whether its training is complete.
        score: score of its last epoch; None if it has none or it cannot be read.
        seconds: time since it was last trained.
    """

    path: Path
    record: RunRecord | None
    finished: bool
    score: float | None
    seconds: float

    @property
    def holds_training(self) -> bool:
        """Whether the training is finished, or has a checkpoint to resume from."""
        return self.finished or (self.path / "resume.pt").is_file()

    def __str__(self) -> str:
        """Describe its state, run, score and age."""
        state = "a finished fold" if self.finished else "an unfinished fold"
        whose = f" of {self.record}" if self.record else ""
        score = f", score {self.score:.4f}" if self.score is not None else ""
        return f"{state}{whose}{score}, {describe_age(self.seconds)} old"


def claim_fold(home: Home, run: str, fold: int, key: str, *, say: Callable[[str], None]) -> Path:
    """Return the fold's folder for the training with this key, with the files that it has so far.

    A folder of another training (other data, other code) is moved to `replaced/`. If this training
    has a folder there, it is restored. `say` is called with a message for both.
    """
    return claim_folder(home, home.fold(run, fold), key, say=say)


def claim_folder(home: Home, folder: Path, key: str, *, say: Callable[[str], None]) -> Path:
    """Claim a fold's folder and return it; see `claim_fold`."""
    current = _read_key(folder)
    if current == key:
        return folder
    if folder.exists():
        _put_aside(home, folder, current, say)
    folder.parent.mkdir(parents=True, exist_ok=True)
    earlier = _replaced(home, folder, key)
    if earlier.exists():
        earlier.rename(folder)
        say(f"{folder}: {read_fold(folder)}, is restored from {earlier.parent}")
        return folder
    folder.mkdir()
    if (folder.parent / RECORD).is_file():  # describes its run, also in `replaced/`
        shutil.copyfile(folder.parent / RECORD, folder / RECORD)
    write_text(folder / "key", key)
    return folder


def _put_aside(home: Home, folder: Path, key: str | None, say: Callable[[str], None]) -> None:
    aside = _replaced(home, folder, key)
    aside.parent.mkdir(exist_ok=True)
    if key is not None:
        say(
            f"{folder}: {read_fold(folder)}, is moved to {aside}, because its data or the code "
            "changed; it is restored when they are the same again, and kept until "
            "'lsdc clean --replaced'"
        )
    folder.rename(aside)


def _read_key(folder: Path) -> str | None:
    marker = folder / "key"
    return marker.read_text(encoding="utf-8") if marker.is_file() else None


def _replaced(home: Home, folder: Path, key: str | None) -> Path:
    # A folder without a key was interrupted while it was created; it holds nothing to restore.
    name = key[:16] if key else f"unknown-{time.time_ns()}"
    return home.replaced / f"{folder.parent.name}-{folder.name}-{name}"


def read_fold(path: Path) -> Fold:
    """Describe a fold's folder."""
    finished = (path / "fit.json").is_file()
    newest = path / ("fit.json" if finished else "resume.pt")
    touched = (newest if newest.exists() else path).stat().st_mtime
    return Fold(path, read_record(path), finished, _score(path), max(0.0, time.time() - touched))


def find_put_aside(home: Home) -> list[Fold]:
    """Return the superseded folds; other entries of `replaced/` are ignored."""
    return [
        read_fold(path)
        for path in sorted(home.replaced.glob("[!.]*"))
        if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]


def describe_age(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def _score(path: Path) -> float | None:
    from polars.exceptions import PolarsError

    try:
        scores = read_parquet(path / "history.parquet", ["score"])["score"].drop_nulls()
    except (OSError, PolarsError):
        return None
    return float(scores[-1]) if len(scores) else None
