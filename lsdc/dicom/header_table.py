"""Headers of many files as one table, built by column from the child processes' answers."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.dicom.frames import HEADER_INTEGERS, HEADER_NUMBERS, NO_NUMBER
from lsdc.dicom.functional_groups import FRAME_NUMBERS
from lsdc.dicom.headers import Format
from lsdc.dicom.names import unescape_name
from lsdc.dicom.supervisor import Failure, Read
from lsdc.dicom.usable import refuse
from lsdc.dicom.walk import status_of

# Hashed as plain text: headers are quick to read again, even after a change of comments only.
_CODE = (
    *(
        "child.py",
        "frames.py",
        "functional_groups.py",
        "preflight.py",
        "header_table.py",
        "headers.py",
    ),
    *("native.py", "numbers.py", "part10.py", "usable.py", "walk.py"),
)
# Libraries that read headers, then pydicom's decoders.
LIBRARIES = (
    *("dicomsdl", "pydicom", "pyjpegls", "pillow", "python-gdcm", "pylibjpeg"),
    *("pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle"),
)

BROKEN = "the reading process gave a broken answer"

_INTEGER = pl.Int64()
# The fields of `Format`, under the column names of our tables.
FORMAT: dict[str, pl.DataType] = {
    "rows": _INTEGER,
    "columns": _INTEGER,
    "samples_per_pixel": _INTEGER,
    "bits_allocated": _INTEGER,
    "bits_stored": _INTEGER,
    "high_bit": _INTEGER,
    "pixel_representation": _INTEGER,
    "photometric": pl.String(),
    "patient_position": pl.String(),
    "header_study_id": _INTEGER,
    "header_series_id": _INTEGER,
    "transfer_syntax": pl.String(),
    "sop_class": pl.String(),
    "orientation": pl.Array(pl.Float64, 6),
    "pixel_spacing_mm": pl.Array(pl.Float64, 2),
    "number_of_frames": _INTEGER,
    "echo_time_ms": pl.Float64(),
    "frames": pl.List(pl.Float64),
}
# One row per file. `reason`: why it could not be read; `lasting`: whether that stays so while the
# file's size and mtime are the same; `no_dicom`: whether it never was a DICOM file; `refusal`: why
# the file, though read, has no usable image.
HEADERS: dict[str, pl.DataType] = {
    "path": pl.String(),
    "bytes": _INTEGER,
    "mtime_ns": _INTEGER,
    "reason": pl.String(),
    "lasting": pl.Boolean(),
    "no_dicom": pl.Boolean(),
    "refusal": pl.String(),
    "instance_number": _INTEGER,
    "position_mm": pl.Array(pl.Float64, 3),
    **FORMAT,
}


class HeaderBlock:
    """Collects the outcomes of reading files and makes a table of them.

    Args:
        names: the names of all files, as `names.escape_name` writes them.
    """

    def __init__(self, names: pl.Series) -> None:
        self._names = names
        self._formats: dict[Format, int] = {}
        self._read: list[npt.NDArray[np.int64]] = []
        self._integers: list[npt.NDArray[np.int64]] = []
        self._positions: list[npt.NDArray[np.float64]] = []
        self._failures: list[tuple[str, int | None, int | None, str, bool, bool]] = []

    def __len__(self) -> int:
        return sum(map(len, self._read)) + len(self._failures)

    def add(self, places: npt.NDArray[np.int64], outcome: Read | Failure) -> None:
        """Add the outcome of files that were read together, or of one that could not be read.

        Args:
            places: the indices of the files among the names.
            outcome: the result or the failure.
        """
        if isinstance(outcome, Failure):
            lasting = outcome.status is not None and not outcome.passing
            name = self._names[int(places[0])]
            status = outcome.status or _status(name)
            self._failures.append((name, *status, outcome.reason, lasting, outcome.no_dicom))
            return
        parts = _unpack(outcome)
        if parts is None:
            names = self._names[places]
            self._failures += [(name, *_status(name), BROKEN, False, False) for name in names]
            return
        formats, integers, positions = parts
        codes = [self._formats.setdefault(form, len(self._formats)) for form in formats]
        integers[:, 0] = np.array(codes)[integers[:, 0]]
        self._read.append(places)
        self._integers.append(integers)
        self._positions.append(positions)

    def table(self) -> pl.DataFrame:
        """Return the table, with the columns of `HEADERS`; unreadable files come last."""
        read = self._read_table() if self._read else pl.DataFrame(schema=HEADERS)
        if not self._failures:
            return read
        columns = ["path", "bytes", "mtime_ns", "reason", "lasting", "no_dicom"]
        schema = {name: HEADERS[name] for name in columns}
        failed = pl.DataFrame(self._failures, schema=schema, orient="row")
        return pl.concat([read, failed], how="diagonal")

    def _read_table(self) -> pl.DataFrame:
        integers, positions = np.concatenate(self._integers), np.concatenate(self._positions)
        position = pl.Series("position_mm", positions, dtype=HEADERS["position_mm"])
        numbers = pl.Series("instance_number", integers[:, 3])
        columns = zip(*self._formats, strict=True)
        formats = pl.DataFrame(dict(zip(FORMAT, columns, strict=True)), schema=FORMAT)
        return pl.DataFrame(
            {
                "path": self._names[np.concatenate(self._read)],
                "bytes": integers[:, 1],
                "mtime_ns": integers[:, 2],
                "reason": pl.repeat(None, len(integers), dtype=pl.String, eager=True),
                "lasting": pl.repeat(True, len(integers), eager=True),
                "no_dicom": pl.repeat(False, len(integers), eager=True),
                "refusal": pl.Series(map(refuse, self._formats), dtype=pl.String)[integers[:, 0]],
                "instance_number": numbers.set(numbers == NO_NUMBER, None),
                "position_mm": position.set(pl.Series(np.isnan(positions[:, 0])), None),
            }
        ).hstack(formats[integers[:, 0]])


def _unpack(
    read: Read,
) -> tuple[list[Format], npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Return an answer's parts if valid: a child that reads hostile files may send anything."""
    said = read.head.get("formats")
    split = read.count * HEADER_INTEGERS * 8
    if not isinstance(said, list) or len(read.body) != split + read.count * HEADER_NUMBERS * 8:
        return None
    formats = [form for values in said if (form := _format(values)) is not None]
    integers = np.frombuffer(read.body[:split], dtype=np.int64).reshape(-1, HEADER_INTEGERS)
    positions = np.frombuffer(read.body[split:], dtype=np.float64).reshape(-1, HEADER_NUMBERS)
    codes = integers[:, 0]
    if len(formats) != len(said) or codes.min() < 0 or codes.max() >= len(formats):
        return None
    return formats, integers.copy(), positions


def _format(values: Any) -> Format | None:
    if not isinstance(values, list) or len(values) != len(FORMAT):
        return None
    fits = all(
        value is None
        or (isinstance(dtype, pl.Int64) and type(value) is int and abs(value) < 2**63)
        or (isinstance(dtype, pl.Float64) and type(value) is float)
        or (isinstance(dtype, pl.String) and type(value) is str and value.isascii())
        or (isinstance(dtype, pl.Array) and _are_floats(value, dtype.size))
        or (isinstance(dtype, pl.List) and _are_frames(value))
        for value, dtype in zip(values, FORMAT.values(), strict=True)
    )
    if not fits:
        return None
    return Format._make(tuple(value) if isinstance(value, list) else value for value in values)


def _are_floats(value: Any, size: int) -> bool:
    return isinstance(value, list) and len(value) == size and {float} >= set(map(type, value))


def _are_frames(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and len(value) % FRAME_NUMBERS == 0
        and _are_floats(value, len(value))
    )


def _status(name: str) -> tuple[int | None, int | None]:
    """Return size and mtime of a file that could not be opened."""
    status = status_of(unescape_name(name))
    return (None, None) if status is None else (status.st_size, status.st_mtime_ns)


def reading_version() -> str:
    """Return a version that changes with anything that affects a file's row."""
    here = Path(__file__).parent
    sources = [(here / name).read_text(encoding="utf-8") for name in _CODE]
    return "\n".join([*sources, *(f"{name} {_version(name)}" for name in LIBRARIES)])


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "is not installed"
