"""Headers of many files as one table, built by column from the child processes' answers."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.dicom.frames import HEADER_INTEGERS, HEADER_NUMBERS, NO_NUMBER
from lsdc.dicom.functional_groups import FRAME_NUMBERS
from lsdc.dicom.headers import Format
from lsdc.dicom.names import unescape_name
from lsdc.dicom.supervisor import Failure, Read
from lsdc.dicom.terms import IMAGE_TYPES, MODALITIES
from lsdc.dicom.usable import refuse
from lsdc.dicom.walk import status_of
from lsdc.tables.table import Table, one_of, real

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
    *("native.py", "numbers.py", "part10.py", "terms.py", "usable.py", "walk.py"),
)
# Libraries that read headers, then pydicom's decoders.
LIBRARIES = (
    *("dicomsdl", "pydicom", "pyjpegls", "pillow", "python-gdcm", "pylibjpeg"),
    *("pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle"),
)

BROKEN = "the reading process sent an invalid answer"


class Outcomes(Table):
    """One row per file: the outcome of reading its header."""

    path = dy.String(description="The file.")
    bytes = dy.Int64(nullable=True, description="Size of the file.")
    mtime_ns = dy.Int64(
        nullable=True, description="Time of its last change, in nanoseconds since 1970."
    )
    reason = dy.String(nullable=True, description="Why the file could not be read.")
    lasting = dy.Bool(
        description="Whether the outcome stays valid while size and time of change are the same."
    )
    no_dicom = dy.Bool(description="Whether the file is not DICOM at all.")
    refusal = dy.String(
        nullable=True, description="Why the file, though read, has no usable image."
    )
    instance_number = dy.Int64(nullable=True, description="InstanceNumber.")
    instance_checksum = dy.Int64(nullable=True, description="CRC-32 of SOPInstanceUID of CT.")
    position_mm = dy.Array(real("x, y, z."), 3, nullable=True, description="ImagePositionPatient.")


class Formats(Table):
    """One row per format: the fields of `Format`, under the column names of our tables."""

    rows = dy.Int64(nullable=True, description="Rows.")
    columns_ = dy.Int64(nullable=True, alias="columns", description="Columns.")
    samples_per_pixel = dy.Int64(nullable=True, description="SamplesPerPixel.")
    bits_allocated = dy.Int64(nullable=True, description="BitsAllocated.")
    bits_stored = dy.Int64(nullable=True, description="BitsStored.")
    high_bit = dy.Int64(nullable=True, description="HighBit.")
    pixel_representation = dy.Int64(nullable=True, description="PixelRepresentation.")
    photometric = dy.String(nullable=True, description="PhotometricInterpretation.")
    patient_position = dy.String(nullable=True, description="PatientPosition.")
    header_study_id = dy.Int64(nullable=True, description="Number made of StudyInstanceUID.")
    header_series_id = dy.Int64(nullable=True, description="Number made of SeriesInstanceUID.")
    study_name = dy.String(nullable=True, description="StudyInstanceUID of the form `ID_...`.")
    series_name = dy.String(nullable=True, description="SeriesInstanceUID of the form `ID_...`.")
    modality = dy.String(nullable=True, check=one_of(sorted(MODALITIES)), description="Modality.")
    patient = dy.String(nullable=True, description="Digest of PatientID of CT.")
    transfer_syntax = dy.String(nullable=True, description="TransferSyntaxUID.")
    sop_class = dy.String(nullable=True, description="SOPClassUID.")
    orientation = dy.Array(
        real("Cosine."), 6, nullable=True, description="ImageOrientationPatient."
    )
    pixel_spacing_mm = dy.Array(real("mm."), 2, nullable=True, description="PixelSpacing.")
    number_of_frames = dy.Int64(nullable=True, description="NumberOfFrames.")
    echo_time_ms = real("EchoTime.", nullable=True)
    repetition_time_ms = real("RepetitionTime.", nullable=True)
    image_type = dy.String(
        nullable=True,
        check=one_of(IMAGE_TYPES),
        description="Whether ImageType calls the image original, derived or a localizer.",
    )
    rescale_intercept = real("RescaleIntercept of CT.", nullable=True)
    rescale_slope = real("RescaleSlope of CT.", nullable=True)
    window_centers = dy.List(real("HU."), nullable=True, description="WindowCenter of CT.")
    window_widths = dy.List(real("HU."), nullable=True, description="WindowWidth of CT.")
    frames = dy.List(
        real("Number."),
        nullable=True,
        description="The numbers of each frame from functional groups, one frame after another.",
    )


class Headers(Outcomes, Formats):
    """One row per file: the outcome of reading it, and the data of its header."""


_FORMAT = pl.Schema(Formats)
# The numbers that an item of each list has.
_NUMBERS = {"window_centers": 1, "window_widths": 1, "frames": FRAME_NUMBERS}


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
        """Return the table, with the columns of `Headers`; unreadable files come last."""
        read = self._read_table() if self._read else Headers.create_empty()
        if not self._failures:
            return read
        columns = ["path", "bytes", "mtime_ns", "reason", "lasting", "no_dicom"]
        schema = pl.Schema(Headers)
        failed = pl.DataFrame(
            self._failures, schema={name: schema[name] for name in columns}, orient="row"
        )
        return pl.concat([read, failed], how="diagonal")

    def _read_table(self) -> pl.DataFrame:
        integers, positions = np.concatenate(self._integers), np.concatenate(self._positions)
        position = pl.Series("position_mm", positions, dtype=pl.Schema(Headers)["position_mm"])
        numbers, checksums = (
            (each := pl.Series(integers[:, column])).set(each == NO_NUMBER, None)
            for column in (3, 4)
        )
        columns = zip(*self._formats, strict=True)
        formats = pl.DataFrame(dict(zip(_FORMAT, columns, strict=True)), schema=_FORMAT)
        return pl.DataFrame(
            {
                "path": self._names[np.concatenate(self._read)],
                "bytes": integers[:, 1],
                "mtime_ns": integers[:, 2],
                "reason": pl.repeat(None, len(integers), dtype=pl.String, eager=True),
                "lasting": pl.repeat(True, len(integers), eager=True),
                "no_dicom": pl.repeat(False, len(integers), eager=True),
                "refusal": pl.Series(map(refuse, self._formats), dtype=pl.String)[integers[:, 0]],
                "instance_number": numbers,
                "instance_checksum": checksums,
                "position_mm": position.set(pl.Series(np.isnan(positions[:, 0])), None),
            }
        ).hstack(formats[integers[:, 0]])


def _unpack(
    read: Read,
) -> tuple[list[Format], npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Return an answer's parts if valid: a child that reads hostile files may send anything."""
    described = read.head.get("formats")
    split = read.count * HEADER_INTEGERS * 8
    if not isinstance(described, list) or len(read.body) != split + read.count * HEADER_NUMBERS * 8:
        return None
    formats = [form for values in described if (form := _format(values)) is not None]
    integers = np.frombuffer(read.body[:split], dtype=np.int64).reshape(-1, HEADER_INTEGERS)
    positions = np.frombuffer(read.body[split:], dtype=np.float64).reshape(-1, HEADER_NUMBERS)
    codes = integers[:, 0]
    if len(formats) != len(described) or codes.min() < 0 or codes.max() >= len(formats):
        return None
    return formats, integers.copy(), positions


def _format(values: Any) -> Format | None:
    if not isinstance(values, list) or len(values) != len(_FORMAT):
        return None
    fits = all(
        value is None
        or (isinstance(dtype, pl.Int64) and type(value) is int and abs(value) < 2**63)
        or (isinstance(dtype, pl.Float64) and type(value) is float)
        or (isinstance(dtype, pl.String) and type(value) is str and value.isascii())
        or (isinstance(dtype, pl.Array) and _are_floats(value, dtype.size))
        or (isinstance(dtype, pl.List) and _are_numbers(value, _NUMBERS[name]))
        for value, (name, dtype) in zip(values, _FORMAT.items(), strict=True)
    )
    if not fits:
        return None
    return Format._make(tuple(value) if isinstance(value, list) else value for value in values)


def _are_floats(value: Any, size: int) -> bool:
    return isinstance(value, list) and len(value) == size and {float} >= set(map(type, value))


def _are_numbers(value: Any, each: int) -> bool:
    """Return whether a value is a list of one or more times so many floats."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and len(value) % each == 0
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
