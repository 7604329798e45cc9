"""Read headers and pixels of many files; no file can crash the calling process.

Some failures are transient: an input/output error, a stale handle, a timeout, a file that changes
meanwhile. Such files are retried after increasing pauses.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    stop_after_attempt,
    wait_exponential_jitter,
)

from lsdc.dicom.header_table import BROKEN, HeaderBlock
from lsdc.dicom.image import STORED_TYPES, Image
from lsdc.dicom.slots import Slots
from lsdc.dicom.supervisor import FILE_SECONDS, Failure, Read, supervise
from lsdc.messages import counted

log = logging.getLogger(__name__)

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
_HEADERS_A_REQUEST = 256
# Their answers are small, and one file that hangs should not block all others.
_HEADERS_AHEAD = 2**20
_IMAGES_A_REQUEST = 24
_IMAGES_AHEAD = 96
# The types of a child's JSON description of an image.
_DESCRIPTION = (int, int, str, float, float, bool)


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read, and why; the reason holds no value from the file."""

    reason: str


def read_headers(
    names: Sequence[str],
    take: Callable[[pl.DataFrame], None],
    *,
    processes: int = 2,
    block_files: int = 2**15,
    on_progress: Callable[[int, int], None] | None = None,
    file_seconds: float = FILE_SECONDS,
) -> None:
    """Read the allow-listed tags of files.

    Args:
        names: any files, as `names.escape_name` writes them.
        take: called with tables (`header_table.Headers`) as they come; every file has one row in
            one of the tables, in any order.
        processes: the number of child processes.
        block_files: the approximate number of files per table.
        on_progress: called with the number of files done and of all files.
        file_seconds: the time limit per file; a file that takes longer is unreadable.

    Raises:
        StageError: the child processes could not start.
    """
    every = pl.Series(names, dtype=pl.String)
    block = HeaderBlock(every)
    left = np.arange(len(every))

    def read() -> list[tuple[int, Failure]]:
        """Read the remaining files and return those that failed."""
        nonlocal block, left
        failed: list[tuple[int, Failure]] = []
        turn = 0
        for outcome in supervise(
            every[left].to_list(),
            work="headers",
            processes=processes,
            batch_files=_HEADERS_A_REQUEST,
            files_ahead=_HEADERS_AHEAD,
            file_seconds=file_seconds,
        ):
            if isinstance(outcome, Failure) and outcome.passing:
                failed.append((int(left[turn]), outcome))
            else:
                block.add(left[turn : turn + outcome.count], outcome)
            turn += outcome.count
            if on_progress is not None:
                on_progress(len(every) - len(left) + turn - len(failed), len(every))
            if len(block) >= block_files:
                take(block.table())
                block = HeaderBlock(every)
        left = np.array([place for place, _ in failed], dtype=np.int64)
        return failed

    for place, failure in _retry_transient(read, every):
        block.add(np.array([place]), failure)
    if on_progress is not None:
        on_progress(len(every), len(every))
    take(block.table())


def read_pixels(
    names: Sequence[str],
    frames: Sequence[int] | None = None,
    *,
    processes: int = 2,
    file_seconds: float = FILE_SECONDS,
) -> Iterator[tuple[int, Image | Unreadable]]:
    """Read a greyscale image of each file, in their order, a few files ahead of the caller.

    Args:
        names: any files, as `names.escape_name` writes them; one may come for several frames.
        frames: the frame to read of each file, from 1; by default the first.
        processes: the number of child processes.
        file_seconds: the time limit per file; a file that takes longer is unreadable.

    Yields:
        (index into names, image). Drop an image when you are done with it, to free its shared
        memory for another. Colour images are unreadable, and so are files with several frames that
        are not slices.

    Raises:
        StageError: the child processes could not start.
    """
    slots = Slots()

    def outcomes(some: slice) -> Iterator[Read | Failure]:
        return supervise(
            names[some],
            frames=None if frames is None else frames[some],
            work="pixels",
            processes=processes,
            batch_files=_IMAGES_A_REQUEST,
            files_ahead=_IMAGES_AHEAD,
            file_seconds=file_seconds,
            slots=slots,
        )

    number = 0
    for outcome in outcomes(slice(None)):
        final = outcome
        if isinstance(outcome, Failure) and outcome.passing:
            final = _again(names, number, outcome, outcomes)
        for image in _images(final, slots):
            yield number, image
            number += 1


def _again(
    names: Sequence[str],
    number: int,
    failure: Failure,
    outcomes: Callable[[slice], Iterator[Read | Failure]],
) -> Read | Failure:
    """Retry one file with a transient failure."""
    found: Read | Failure = failure
    tried = False

    def read() -> list[tuple[int, Failure]]:
        nonlocal found, tried
        if tried:
            (found,) = outcomes(slice(number, number + 1))
        tried = True
        return [(number, found)] if isinstance(found, Failure) and found.passing else []

    _retry_transient(read, names)
    return found


def _retry_transient(
    read: Callable[[], list[tuple[int, Failure]]], names: Sequence[str] | pl.Series
) -> list[tuple[int, Failure]]:
    """Call `read` until no file has a transient failure, a few times at most; return the rest."""
    retrying = Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=_FIRST_PAUSE_SECONDS, jitter=_FIRST_PAUSE_SECONDS),
        before_sleep=partial(_log_retry, names),
        retry_error_callback=_transient_failures,
    )
    left: list[tuple[int, Failure]] = retrying(read)
    return left


def _transient_failures(state: RetryCallState) -> list[tuple[int, Failure]]:
    assert state.outcome is not None
    left: list[tuple[int, Failure]] = state.outcome.result()
    return left


def _log_retry(names: Sequence[str] | pl.Series, state: RetryCallState) -> None:
    left = _transient_failures(state)
    (place, failure), *_ = left
    log.warning(
        "%s could not be read (%s: %s); attempt %d of %d follows in %.1f s",
        counted(len(left), "file"),
        names[place],
        failure.reason,
        state.attempt_number + 1,
        _ATTEMPTS,
        state.upcoming_sleep,
    )


def _images(outcome: Read | Failure, slots: Slots) -> Iterator[Image | Unreadable]:
    """Yield the images of files that were answered together."""
    if isinstance(outcome, Failure):
        yield Unreadable(outcome.reason)
        return
    body, begin = memoryview(outcome.body), 0
    for slot, description in zip(outcome.slots, _listed(outcome), strict=True):
        form = _described(description)
        if form is None:
            slots.release(slot)
            yield Unreadable(BROKEN)
            continue
        shape, dtype, slope, intercept, placed = form
        size = dtype.itemsize * shape[0] * shape[1]
        if placed and slots.fits(slot, shape, dtype):
            yield Image(slots.show(slot, shape, dtype), slope, intercept)
            continue
        slots.release(slot)
        if placed or begin + size > len(body):
            yield Unreadable(BROKEN)
            continue
        stored = np.frombuffer(body, dtype, shape[0] * shape[1], begin).reshape(shape)
        begin += size
        yield Image(stored, slope, intercept)


def _described(
    description: Any,
) -> tuple[tuple[int, int], np.dtype[Any], float, float, bool] | None:
    """Return an image's shape, type, slope, intercept and whether it is in its slot, if valid."""
    if not isinstance(description, list) or tuple(map(type, description)) != _DESCRIPTION:
        return None
    rows, columns, name, slope, intercept, placed = description
    if rows < 1 or columns < 1 or name not in STORED_TYPES:
        return None
    return (rows, columns), STORED_TYPES[name], slope, intercept, placed


def _listed(read: Read) -> list[Any]:
    """Return a child's description of each image, unchecked; None each if their number is wrong."""
    images = read.head.get("images")
    fits = isinstance(images, list) and len(images) == read.count
    return images if fits else [None] * read.count  # type: ignore[return-value]  # a list if it fits
