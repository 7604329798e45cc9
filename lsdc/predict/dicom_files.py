"""The DICOM files of a folder that is predicted: their headers; and files that are no images."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from lsdc.dicom_index.index import open_headers, read_files
from lsdc.dicom_index.other_files import group_others
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.predict.files import relative_to
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import scan_parquet

OnFiles = Callable[[int, int], None]


def read_headers(files: pl.DataFrame, root: Path, at: Workplace, on_files: OnFiles) -> pl.LazyFrame:
    """Read the headers of files.

    Args:
        files: path, bytes, mtime_ns and columns of the caller.
        root: the folder of all files.
        at: the workplace, which keeps the headers.
        on_files: called with the number of files read and of files to read.

    Returns:
        `lsdc.dicom.header_table.Headers` with the caller's columns; files in any order.
    """
    rows = open_headers(at.folder / "headers", root)
    kept, _ = read_files(rows, files, processes=at.threads, on_progress=on_files)
    return kept.join(files.drop("bytes", "mtime_ns").lazy(), on="path", how="inner")


def require_readable(headers: Path, root: Path, files: int) -> None:
    """Refuse a folder without any DICOM file.

    Args:
        headers: a Parquet file of headers.
        root: the folder.
        files: the number of files below it.

    Raises:
        DataError: none of the headers could be read.
    """
    readable = pl.col("reason").is_null().any()
    if not scan_parquet(headers).select(readable).collect().item():
        raise DataError(
            f"{root}: none of {counted(files, 'file')} below it is a readable DICOM file; give a "
            "folder with DICOM files somewhere below it"
        )


def count_others(root: Path, others: pl.DataFrame) -> pl.DataFrame:
    """Count files that are no slices by type: files, what, path of the first below the root."""
    return group_others(relative_to(root, others))
