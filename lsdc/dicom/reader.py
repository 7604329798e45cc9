"""Read headers and pixels of many files; no file can end the process that asks.

What a drive refuses at one moment it may give at the next. So files that fail in passing (an
input/output error, a stale handle, a timeout, a file that changes meanwhile) are tried again
after a pause that grows.
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

log = logging.getLogger(__name__)

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
_HEADERS_A_REQUEST = 256
# Their answers are small, and one file that hangs should not keep all others waiting.
_HEADERS_AHEAD = 2**20
_IMAGES_A_REQUEST = 24
_IMAGES_AHEAD = 96
# What a child says of an image, as JSON brings it.
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
        take: given the rows (`header_table.HEADERS`) of so many files as they come; every file
            has one row in one of the tables, in no certain order.
        processes: how many child processes read.
        block_files: about as many files make a table.
        on_progress: called with files done and files in all.
        file_seconds: a file that takes longer is unreadable.

    Raises:
        StageError: the child processes could not start.
    """
    every = pl.Series(names, dtype=pl.String)
    block = HeaderBlock(every)
    left = np.arange(len(every))

    def read() -> list[tuple[int, Failure]]:
        """Read what is left, and say what is left of that."""
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

    for place, failure in _patiently(read, every):
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
        frames: which frame of each file is read, from 1; by default the first.
        processes: how many child processes read.
        file_seconds: a file that takes longer is unreadable.

    Yields:
        (index into names, image). Let go of an image when you have done with it: the memory that
        the children write into is then free for another. An image in colours is unreadable, and so
        is a file of several frames that are no slices.

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
    """Read one file again that failed in passing."""
    found: Read | Failure = failure
    tried = False

    def read() -> list[tuple[int, Failure]]:
        nonlocal found, tried
        if tried:
            (found,) = outcomes(slice(number, number + 1))
        tried = True
        return [(number, found)] if isinstance(found, Failure) and found.passing else []

    _patiently(read, names)
    return found


def _patiently(
    read: Callable[[], list[tuple[int, Failure]]], names: Sequence[str] | pl.Series
) -> list[tuple[int, Failure]]:
    """Call `read` until no file fails in passing, a few times at most; what still does."""
    retrying = Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=_FIRST_PAUSE_SECONDS, jitter=_FIRST_PAUSE_SECONDS),
        before_sleep=partial(_say, names),
        retry_error_callback=_what_is_left,
    )
    left: list[tuple[int, Failure]] = retrying(read)
    return left


def _what_is_left(state: RetryCallState) -> list[tuple[int, Failure]]:
    assert state.outcome is not None
    left: list[tuple[int, Failure]] = state.outcome.result()
    return left


def _say(names: Sequence[str] | pl.Series, state: RetryCallState) -> None:
    left = _what_is_left(state)
    (place, failure), *_ = left
    log.warning(
        "%d files could not be read (%s: %s); attempt %d of %d follows in %.1f s",
        len(left),
        names[place],
        failure.reason,
        state.attempt_number + 1,
        _ATTEMPTS,
        state.upcoming_sleep,
    )


def _images(outcome: Read | Failure, slots: Slots) -> Iterator[Image | Unreadable]:
    """The images of files that were answered for together."""
    if isinstance(outcome, Failure):
        yield Unreadable(outcome.reason)
        return
    body, begin = memoryview(outcome.body), 0
    for slot, said in zip(outcome.slots, _listed(outcome), strict=True):
        form = _described(said)
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


def _described(said: Any) -> tuple[tuple[int, int], np.dtype[Any], float, float, bool] | None:
    """Shape, type, slope, intercept of an image, and whether it is in its slot, if that is said."""
    if not isinstance(said, list) or tuple(map(type, said)) != _DESCRIPTION:
        return None
    rows, columns, name, slope, intercept, placed = said
    if rows < 1 or columns < 1 or name not in STORED_TYPES:
        return None
    return (rows, columns), STORED_TYPES[name], slope, intercept, placed


def _listed(read: Read) -> list[Any]:
    """What a child says of its images, one each: it may say anything."""
    images = read.head.get("images")
    fits = isinstance(images, list) and len(images) == read.count
    return images if fits else [None] * read.count  # type: ignore[return-value]  # a list if it fits
