"""The results of a prediction in a folder of their own: complete, or not there."""

import json
import logging
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import polars as pl
from filelock import Timeout

from lsdc import __version__
from lsdc.dicom.names import escape_name
from lsdc.errors import HomeBusyError, SettingsError
from lsdc.predict.unfinished import unfinished
from lsdc.store.file_locks import file_lock

CSV, JSON, FILES, SUBMISSION, PICTURES, LOG = (
    "predictions.csv",
    "predictions.json",
    "files.csv",
    "submission.csv",
    "pictures",
    "predict.log",
)


class Outcome(Protocol):
    """What is known of a study after its prediction."""

    @property
    def spelled(self) -> str:
        """Its id as tables write it."""
        ...

    @property
    def folder(self) -> str:
        """The folder of its files, relative to the one that was read."""
        ...

    @property
    def subfolder(self) -> str:
        """The same; empty if that is the one that was read."""
        ...

    @property
    def why_prior(self) -> str:
        """Why all of it is predicted by the prior; empty if it is predicted from images."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """All that may be wrong with its predictions."""
        ...


StudyOutcome = TypeVar("StudyOutcome", bound=Outcome)


@dataclass(frozen=True, kw_only=True)
class Prediction(Generic[StudyOutcome]):
    """The result of a prediction.

    Attributes:
        studies: what is known of each study, by id.
        rows: the table of predictions.
        quarantine: the files that cannot be used, paths relative to the folder.
        others: the number of files that are no slices, by type: files, what, path of the first.
        files: the files and folders that were written.
        unknown_rows: the number of rows of the sample submission that nothing in the folder has.
        seconds: the time that it took.
        kept: the number of studies that an earlier, stopped prediction had done.
    """

    studies: Sequence[StudyOutcome]
    rows: pl.DataFrame
    quarantine: pl.DataFrame
    others: pl.DataFrame
    files: Sequence[Path]
    unknown_rows: int
    seconds: float
    kept: int = 0

    @property
    def from_prior(self) -> list[StudyOutcome]:
        """The studies that were predicted by the prior alone."""
        return [study for study in self.studies if study.why_prior]


def write_json(
    path: Path, root: Path, run: str, folds: Collection[int | str], content: Mapping[str, Any]
) -> None:
    """Write what was predicted as JSON.

    Args:
        path: the file to write.
        root: the folder that was read.
        run: the name of the run.
        folds: the folds whose models predicted.
        content: what follows.
    """
    head = {
        "lsdc": __version__,
        "run": run,
        "folds": [*folds],
        "folder": escape_name(root.absolute()),
    }
    path.write_text(json.dumps(head | dict(content), indent=1) + "\n", encoding="utf-8")


def replace_results(made: Path, out: Path, names: Sequence[str]) -> list[Path]:
    """Replace earlier results by those made.

    Killed in between, the same call goes on: what was moved stays.

    Args:
        made: the folder of the new results, inside that of unfinished work.
        out: the folder of the results.
        names: all that a prediction may write; `predictions.json` comes last, and goes first.

    Returns:
        The files and folders that there are now.
    """
    moving = made.with_name("moving")  # the earlier results are gone
    if not moving.exists():
        for name in reversed(names):
            _remove(out / name)
        moving.touch()
    for name in names:
        if (made / name).exists():
            _remove(out / name)
            (made / name).replace(out / name)
    return [out / name for name in names if (out / name).exists()]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def working_in(out: Path, key: str) -> Iterator[Path]:
    """Yield the folder of unfinished work in the folder of the results; write the log beside it.

    Args:
        out: the folder of the results.
        key: of what the work depends on; see `lsdc.predict.unfinished`.

    Raises:
        SettingsError: the folder holds something else than results of a prediction.
        HomeBusyError: another prediction writes into it.
    """
    with _alone_in(out), _logged(out / LOG), unfinished(out, key) as work:
        yield work


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Lock the folder of the results, and remove what a killed prediction left there."""
    if out.is_dir() and any(out.iterdir()) and not (out / LOG).is_file():
        raise SettingsError(
            f"--out {out}: expected an empty folder or results of an earlier prediction "
            f"({LOG}), found other files, which would be in the way; choose another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    lock = file_lock(out / ".predict.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"{out}: another prediction writes into this folder; choose another --out"
        raise HomeBusyError(message) from None
    try:
        for left in out.glob(".writing-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        lock.release()


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write this project's log records to a file while the block runs."""
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("lsdc")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()
