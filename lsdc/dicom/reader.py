"""Read headers and pixels of many files; no file can end the process that asks."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lsdc.dicom.headers import Header
from lsdc.dicom.supervisor import FILE_SECONDS, Failure, Read, supervise

_HEADERS_A_REQUEST = 64
_IMAGES_A_REQUEST = 4
_BROKEN = "the reading process gave a broken answer"


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read, and why; the reason holds no value from the file."""

    reason: str


def read_headers(
    paths: Sequence[Path],
    *,
    processes: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
    file_seconds: float = FILE_SECONDS,
) -> list[Header | Unreadable]:
    """Read the allow-listed tags of files, in their order.

    Args:
        paths: any names, non-UTF-8 ones included.
        processes: how many child processes read.
        on_progress: called with files read and files in all, after each.
        file_seconds: a file that takes longer is unreadable.

    Raises:
        StageError: the child processes could not start.
    """
    headers = []
    names = [os.fsencode(path) for path in paths]
    for outcome in supervise(
        names,
        work="headers",
        processes=processes,
        batch_files=_HEADERS_A_REQUEST,
        file_seconds=file_seconds,
    ):
        headers.append(_header(outcome))
        if on_progress is not None:
            on_progress(len(headers), len(names))
    return headers


def read_pixels(
    paths: Sequence[Path], *, processes: int = 2, file_seconds: float = FILE_SECONDS
) -> Iterator[tuple[int, npt.NDArray[np.float32] | Unreadable]]:
    """Read the greyscale image of each file, in their order, a few files ahead of the caller.

    Yields:
        (index into paths, image): (rows, columns) float32, rescaled, large values bright. A file
        with several frames or with colours is unreadable.

    Raises:
        StageError: the child processes could not start.
    """
    outcomes = supervise(
        [os.fsencode(path) for path in paths],
        work="pixels",
        processes=processes,
        batch_files=_IMAGES_A_REQUEST,
        file_seconds=file_seconds,
    )
    for number, outcome in enumerate(outcomes):
        yield number, _image(outcome)


def _header(outcome: Read | Failure) -> Header | Unreadable:
    if isinstance(outcome, Failure):
        return Unreadable(outcome.reason)
    values = outcome.head.get("header")
    if not isinstance(values, list) or len(values) != len(fields(Header)):
        return Unreadable(_BROKEN)
    plain: list[Any] = [tuple(value) if isinstance(value, list) else value for value in values]
    return Header(*plain)


def _image(outcome: Read | Failure) -> npt.NDArray[np.float32] | Unreadable:
    if isinstance(outcome, Failure):
        return Unreadable(outcome.reason)
    try:
        rows, columns = outcome.head["shape"]
        return np.frombuffer(outcome.body, dtype=np.float32).reshape(rows, columns)
    except (KeyError, TypeError, ValueError):
        return Unreadable(_BROKEN)
