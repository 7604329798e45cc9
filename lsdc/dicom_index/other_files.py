"""Other files: files among the images that are not slices, and copies of slices.

They are not faults of the data: they are reported separately from unusable files.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b

import dataframely as dy
import polars as pl

from lsdc.dicom.names import unescape_name
from lsdc.dicom.preflight import LARGEST_FILE_BYTES
from lsdc.dicom.usable import GREYSCALE
from lsdc.tables.table import Table

_ID = "As in the table instances; null if neither path nor header gives the value."


class SkippedFiles(Table):
    """One row per file that is not a slice, or is a copy. --max-bad does not count these files."""

    path = dy.String(description="Path of the file.")
    what = dy.String(
        description=(
            "Type of the file: a copy (of the whole file or of the image); another DICOM object by "
            "SOPClassUID, such as a structured report, presentation state or secondary capture (an "
            "object in a listed series can count as a slice if its header has all attributes of a "
            "slice); a DICOMDIR; a file of the operating system, such as AppleDouble; a file that "
            "is not DICOM; or, in a run, a file that belongs to no listed series and is not read."
        )
    )
    copy_of = dy.String(
        nullable=True, description="The file of the same series that this one is a copy of."
    )


class OtherFiles(SkippedFiles):
    """One row per file that is not a slice, or is a copy. --max-bad does not count these files."""

    study_id = dy.Int64(nullable=True, description=_ID)
    series_id = dy.Int64(nullable=True, description=_ID)


COPY = "copy, byte for byte"
SAME_IMAGE = "copy of an image"
NOT_DICOM = "not DICOM"
NOT_LISTED = "in no listed series"
NO_IMAGE = "DICOM without an image"
SECONDARY_CAPTURE = "secondary capture"

# On foreign file systems macOS stores extra metadata in a second file, `._7.dcm` for `7.dcm`.
_APPLE_DOUBLE, _APPLE_DOUBLE_MAGIC = "._", b"\x00\x05\x16\x07"
_OF_THE_SYSTEM = frozenset(
    ["thumbs.db", "ehthumbs.db", ".ds_store", "desktop.ini", ".localized", ".directory", "icon\r"]
)
_DICOM = "1.2.840.10008."
_STORAGE = f"{_DICOM}5.1.4.1.1."
# CT, MR, PET and NM with their enhanced and converted kinds (PS3.4 B.5): they lie in a patient.
_SLICES = frozenset(
    _STORAGE + end
    for end in (
        "2", "2.1", "2.2", "4", "4.1", "4.3", "4.4", "20", "128", "128.1", "130", "13.1.1",
    )
)  # fmt: skip
# The attributes in the header of a slice.
_OF_A_SLICE = ("rows", "columns", "position_mm", "orientation", "pixel_spacing_mm")
# Full UIDs, or prefixes if they end with a dot.
_WORDS = {
    f"{_DICOM}1.3.10": "DICOMDIR",
    f"{_STORAGE}88.59": "key object selection",
    f"{_STORAGE}88.": "structured report",
    f"{_STORAGE}11.": "presentation state",
    f"{_STORAGE}7": SECONDARY_CAPTURE,
    f"{_STORAGE}7.": SECONDARY_CAPTURE,
    f"{_STORAGE}481.": "radiotherapy object",
    f"{_STORAGE}66.4": "segmentation",
    f"{_STORAGE}66.": "registration, fiducials or surface",
    f"{_STORAGE}66": "raw data",
    f"{_STORAGE}4.2": "spectroscopy",
    f"{_STORAGE}9.": "waveform",
    f"{_STORAGE}104.": "document",
    f"{_STORAGE}77.": "visible light image",
}


def may_be_slice() -> pl.Expr:
    """Return whether an object may be a slice, by SOP class; missing or private classes may be.

    In a listed series, so may a secondary capture or an unknown class if its header has all
    attributes of a slice: some exports store slices that way.
    """
    sop_class = pl.col("sop_class")
    by_class = sop_class.is_in(list(_SLICES)) | ~sop_class.str.starts_with(_DICOM)
    placed = pl.all_horizontal(pl.col(name).is_not_null() for name in _OF_A_SLICE)
    grey = pl.col("photometric").is_in(GREYSCALE) & (pl.col("samples_per_pixel").fill_null(1) == 1)
    alone = pl.col("number_of_frames").fill_null(1) == 1
    word = _word_of_class()
    open_class = word.is_null() | (word == SECONDARY_CAPTURE)
    by_header = pl.col("listed") & open_class & placed & grey.fill_null(False) & alone
    return by_class.fill_null(True) | by_header


def describe_class() -> pl.Expr:
    """Return a description of an object whose SOP class is not one of slices."""
    return pl.coalesce(_word_of_class(), pl.format("DICOM of another class ({})", "sop_class"))


def _word_of_class() -> pl.Expr:
    word = pl.lit(None, dtype=pl.String)
    sop_class = pl.col("sop_class")
    for name, words in sorted(_WORDS.items(), key=lambda item: len(item[0])):  # the longest wins
        there = sop_class.str.starts_with(name) if name.endswith(".") else sop_class == name
        word = pl.when(there).then(pl.lit(words)).otherwise(word)
    return word


def others(files: pl.DataFrame, what: pl.Expr, copy_of: pl.Expr | None = None) -> pl.DataFrame:
    """Return files as rows of `OtherFiles`, with ids if path or header contain them."""
    none = pl.lit(None, dtype=pl.String)
    ids = {
        name: pl.coalesce(one for one in (f"path_{name}", f"header_{name}") if one in files.columns)
        for name in ("study_id", "series_id")
    }
    rows = files.select("path", what=what, copy_of=none if copy_of is None else copy_of, **ids)
    return pl.DataFrame(rows, schema=pl.Schema(OtherFiles))


def set_aside(files: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate files whose names show that they are not slices from those to read.

    Args:
        files: the table of `instances.place_files`.

    Returns:
        The files to read; `OtherFiles`.
    """
    files = with_kind_by_name(files)
    known = pl.col("what").is_not_null()
    aside = files.filter(known)
    return files.filter(~known).drop("what"), others(aside, pl.col("what"))


def with_kind_by_name(files: pl.DataFrame) -> pl.DataFrame:
    """Add `what`: the kind of a file whose name shows that it is not a slice; null for others.

    Args:
        files: a table with `path`.
    """
    name = pl.col("path").str.extract(r"([^/]*)$").str.to_lowercase()
    what = (
        pl.when(name.is_in(list(_OF_THE_SYSTEM)))
        .then(pl.lit("file of the operating system"))
        .when(name == "dicomdir")
        .then(pl.lit("DICOMDIR"))
    )
    files = files.with_columns(what=what)
    beside = files.filter(name.str.starts_with(_APPLE_DOUBLE))["path"]
    doubles = [path for path in beside if _begins_with(path, _APPLE_DOUBLE_MAGIC)]
    if doubles:
        double = pl.col("path").is_in(doubles)
        words = pl.lit("AppleDouble (macOS)")
        files = files.with_columns(what=pl.when(double).then(words).otherwise("what"))
    return files


def find_copies(slices: pl.DataFrame, series: Iterable[str]) -> pl.DataFrame:
    """Find slices whose file equals another one of the same series, byte for byte.

    The original is the file that is named by its number, or has the shortest path. Only files of
    equal size and header are read, and none that is too large for an image.

    Args:
        slices: path, bytes, name_number, header_number, position_mm, and the ids.
        series: the columns that identify a series.

    Returns:
        path, copy_of.
    """
    key = [*series, "bytes", "header_number", "position_mm"]
    readable = pl.col("bytes").is_between(1, LARGEST_FILE_BYTES)
    alike = slices.filter(readable).filter(pl.struct(key).is_duplicated())
    alike = alike.with_columns(
        digest=pl.col("path").map_elements(digest_of, return_dtype=pl.String),
        renamed=(pl.col("name_number") != pl.col("header_number")).fill_null(True),
    ).sort("renamed", pl.col("path").str.len_bytes(), "path")
    original = pl.col("path").first().over([*key, "digest"])
    return (
        alike.with_columns(copy_of=original)
        .filter(pl.col("path") != pl.col("copy_of"))
        .select("path", "copy_of")
    )


def group_others(files: pl.DataFrame) -> pl.DataFrame:
    """Count other files by type, the commonest first: files (count), what, path (the first)."""
    return (
        files.sort("path")
        .group_by("what", maintain_order=True)
        .agg(files=pl.len().cast(pl.Int64), path=pl.col("path").first())
        .select("files", "what", "path")
        .sort("files", descending=True, maintain_order=True)
    )


def digest_of(path: str) -> str:
    """Return a digest of a file's bytes; a unique one if it cannot be read."""
    digest = blake2b(digest_size=16)
    try:
        with open(unescape_name(path), "rb") as file:  # noqa: PTH123  # bytes are no Path
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return path
    return digest.hexdigest()


def _begins_with(path: str, magic: bytes) -> bool:
    try:
        # Without O_NONBLOCK, opening a FIFO of such a name would block.
        descriptor = os.open(unescape_name(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(magic)) == magic
    except OSError:
        return False
    finally:
        os.close(descriptor)
