"""Former results: keep copies of results that a person may have submitted or reported."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars.exceptions

from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import digest_file
from lsdc.store.runs import stored_score

log = logging.getLogger("lsdc.former")

OOF_FILES = ("oof.parquet", "holdout.parquet", "scores.json")
SUBMISSION_FILES = ("submission.csv",)


@contextmanager
def keeping_submission(folder: Path) -> Iterator[None]:
    """Keep a copy of the submission in a folder if the block changes it."""
    former = _set_beside(folder, SUBMISSION_FILES)
    try:
        yield
    finally:
        kept = _keep_changed(former)
    if kept:
        log.warning(
            "%s: differs from the earlier one, as test studies, models or code have changed; the "
            "earlier one is kept as %s",
            folder / SUBMISSION_FILES[0],
            kept[0].name,
        )


@contextmanager
def keeping_oof(folder: Path) -> Iterator[None]:
    """Keep a copy of the out-of-fold table and scores if the block writes ones of fewer folds."""
    former, folds, score = (
        _set_beside(folder, OOF_FILES),
        _count_folds(folder),
        stored_score(folder),
    )
    try:
        yield
    except BaseException:
        _keep_changed(former)
        raise
    now = _count_folds(folder)
    if now >= folds:
        for beside in former.values():
            beside.unlink()
    elif kept := _keep_changed(former):
        log.warning(
            "%s: the out-of-fold table and scores had %s%s and now have %d, as the others were "
            "trained on other data or code; train these again to have all; the earlier files are "
            "kept as %s",
            folder,
            counted(folds, "fold"),
            "" if score is None else f" (score {score:.4f})",
            now,
            ", ".join(path.name for path in kept),
        )


def _set_beside(folder: Path, names: Sequence[str]) -> dict[Path, Path]:
    """Copy the existing files, under names with the time the last of them was written."""
    there = [path for name in names if (path := folder / name).is_file()]
    written = max((path.stat().st_mtime for path in there), default=0.0)
    time = f"{datetime.fromtimestamp(written, UTC):%Y-%m-%dT%H-%M-%SZ}"
    former = {path: path.with_name(f"{path.stem}-{time}{path.suffix}") for path in there}
    for path, beside in former.items():
        shutil.copy2(path, beside)
    return former


def _keep_changed(former: dict[Path, Path]) -> list[Path]:
    """Return the copies of files that have changed and delete the others."""
    kept = []
    for path, beside in former.items():
        if path.is_file() and digest_file(path) == digest_file(beside):
            beside.unlink()
        else:
            kept.append(beside)
    return kept


def _count_folds(folder: Path) -> int:
    """Return the number of folds in the out-of-fold table; 0 without a table."""
    try:
        return read_parquet(folder / OOF_FILES[0], ["fold"])["fold"].n_unique()
    except (OSError, polars.exceptions.PolarsError):  # absent or damaged: nothing worth keeping
        return 0
