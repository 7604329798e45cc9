"""The run-length coding of masks in the competition's tables.

A cell holds pairs "start length", all separated by single blanks. Pixels are numbered from 1, row
by row: from left to right, then down. Runs are sorted and do not overlap; one may go on in the next
row. An empty mask is an empty cell.

>>> encode(np.array([[1, 0, 0], [1, 1, 0]], dtype=bool))
'1 1 4 2'
"""

import re

import numpy as np
from numpy.typing import NDArray

from lsdc.errors import DataError

Mask = NDArray[np.bool_]

_TOKEN = re.compile(r"\S+")
_WHOLE = re.compile(r"[0-9]{1,15}")  # fits into 64 bits, in sums, too
_ALL_WHOLE = re.compile(r"[0-9\s]*")


def encode(mask: Mask) -> str:
    """Return the runs of a mask, (rows, columns), as a cell."""
    starts, ends = _runs(mask)
    pairs = np.stack([starts + 1, ends - starts], axis=1)  # (runs, 2)
    return " ".join(map(str, pairs.ravel().tolist()))


def decode(cell: str | None, shape: tuple[int, int], source: str = "runs") -> Mask:
    """Return the mask, (rows, columns), whose runs a cell holds; None is an empty cell.

    Args:
        cell: the runs.
        shape: rows and columns of the frame.
        source: the cell's name in messages, such as "submission.csv: Predicted of fragment a".

    Raises:
        DataError: the cell is not such runs: an odd count of numbers, a number that is not whole or
            is zero, runs that overlap or are not sorted, or a run beyond the frame. The message
            names the position of the first fault.

    >>> decode("1 1 4 2", (2, 3)).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0]]
    """
    numbers = _read_numbers(cell or "", source)
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    ends = starts + lengths
    _check(starts, ends, shape, source)
    # A step up at each start and down at each end; the sum of steps is 1 in runs. Neighbouring runs
    # that touch have both at one place.
    steps = np.zeros(shape[0] * shape[1] + 1, dtype=np.int8)
    steps[starts] += 1
    steps[ends] -= 1
    np.cumsum(steps, dtype=np.int8, out=steps)
    return steps[:-1].view(bool).reshape(shape)


def count_runs(mask: Mask) -> int:
    """Return the number of runs of a mask, (rows, columns)."""
    return len(_runs(mask)[0])


def _runs(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first pixel of each run, from 0, and the pixel after its last."""
    flat = np.ascontiguousarray(mask, dtype=bool).ravel()
    if not len(flat):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[0]:
        turns = np.concatenate([[0], turns])
    if flat[-1]:
        turns = np.concatenate([turns, [len(flat)]])
    return turns[0::2], turns[1::2]


def _read_numbers(cell: str, source: str) -> NDArray[np.int64]:
    tokens = cell.split()
    if not _ALL_WHOLE.fullmatch(cell) or any(len(token) > 15 for token in tokens):
        number, found = next(
            (number, token[0])
            for number, token in enumerate(_TOKEN.finditer(cell), start=1)
            if not _WHOLE.fullmatch(token[0])
        )
        raise DataError(
            f"{source}: number {number} is {_shortened(found)}, expected a whole number above 0 of "
            "at most 15 digits; write runs as pairs 'start length', separated by blanks"
        )
    if len(tokens) % 2:
        raise DataError(
            f"{source}: {len(tokens):,} numbers, the last of them {tokens[-1]!r}, expected pairs "
            "'start length' and so an even count; the cell may have been cut off: write it again"
        )
    return np.array(tokens, dtype=np.int64)


def _check(
    starts: NDArray[np.int64], ends: NDArray[np.int64], shape: tuple[int, int], source: str
) -> None:
    """Refuse runs by the first fault; starts count from 0."""
    pixels = shape[0] * shape[1]
    bad = (starts < 0) | (ends <= starts) | (ends > pixels)
    bad[1:] |= starts[1:] < ends[:-1]
    if not bad.any():
        return
    run = int(np.argmax(bad))
    start, length = int(starts[run]) + 1, int(ends[run] - starts[run])
    where = f"{source}: run {run + 1:,} (start {start}, length {length})"
    if start < 1 or length < 1:
        zero = "start" if start < 1 else "length"
        raise DataError(f"{where} has the {zero} 0, expected 1 or more; pixels count from 1")
    if run and start <= ends[run - 1]:
        before = (
            f"run {run:,} (start {starts[run - 1] + 1}, length {ends[run - 1] - starts[run - 1]})"
        )
        if start <= starts[run - 1]:
            raise DataError(
                f"{where} begins before {before}, expected ascending starts; sort the runs"
            )
        raise DataError(f"{where} overlaps {before}, expected each pixel once; join the runs")
    raise DataError(
        f"{where} ends at pixel {start + length - 1:,}, expected {pixels:,} at most, the last of "
        f"{shape[0]:,} rows by {shape[1]:,} columns; pixels count from 1, row by row: check that "
        "the mask has the frame's full size"
    )


def _shortened(token: str) -> str:
    return repr(token if len(token) <= 20 else f"{token[:20]}...")
