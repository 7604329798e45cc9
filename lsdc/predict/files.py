"""The files of a folder that is predicted: listed, their headers read, and named in the results."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.dicom.names import escape_name
from lsdc.dicom.walk import list_tree
from lsdc.dicom_index.index import open_headers, read_files
from lsdc.dicom_index.other_files import group_others
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import scan_parquet

OnFiles = Callable[[int, int], None]


def require_folder(root: Path) -> None:
    """Refuse a folder that does not exist.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder, expected one with DICOM files somewhere below it")


def list_files(root: Path, *, leave_out: Path) -> pl.DataFrame:
    """Return path, bytes and mtime_ns of all files below a folder.

    Args:
        root: the folder.
        leave_out: a folder to skip wherever it is, such as that of the results.
    """
    path = pl.concat_str("folder", "name", separator="/")
    files = list_tree(root, with_status=True, leave_out=leave_out)
    return files.select(path.alias("path"), "bytes", "mtime_ns")


def list_tables(paths: Sequence[Path]) -> pl.DataFrame:
    """Return path, bytes and mtime_ns of those of some files that exist."""
    rows = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in paths
        if path.is_file()
    ]
    schema = {"path": pl.String, "bytes": pl.Int64, "mtime_ns": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


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


def folders_of(files: pl.DataFrame, root: Path) -> dict[Any, str]:
    """Return the folder that holds all files of each study, relative to the root.

    Args:
        files: study_id and path.
        root: the folder of all files.
    """
    folder = pl.col("path").str.extract(r"^(.*)/[^/]*$")
    folders = files.select("study_id", folder).unique()
    start = escape_name(root.absolute())
    return {
        study: os.path.relpath(os.path.commonpath(own["path"].to_list()), start)
        for (study,), own in folders.group_by("study_id")
    }


def relative_to(root: Path, files: pl.DataFrame) -> pl.DataFrame:
    """Return a table of files, sorted by their paths relative to a folder."""
    inside = pl.col("path").str.strip_prefix(f"{escape_name(root.absolute())}/")
    return files.with_columns(path=inside).sort("path")


def count_others(root: Path, others: pl.DataFrame) -> pl.DataFrame:
    """Count files that are no slices by type: files, what, path of the first below the root."""
    return group_others(relative_to(root, others))


def tabulate_files(
    used: pl.DataFrame, quarantine: pl.DataFrame, spelled: Mapping[Any, str], ids: Sequence[str]
) -> pl.DataFrame:
    """Return one row per file of a study, with the ids that the results use.

    Args:
        used: path, `ids` and `used_as` of the usable images.
        quarantine: path and `ids` of the files that cannot be used.
        spelled: how the results write the id of each study.
        ids: the names of the columns with ids, of which the first is study_id.

    Returns:
        path, the ids, and `used_as`, as what the models used it; null if they did not.
    """
    known = quarantine.filter(pl.col("study_id").is_not_null()).select("path", *ids)
    files = pl.concat([used.select("path", *ids, "used_as"), known], how="diagonal")
    files = files.sort("path", "used_as", nulls_last=True).unique("path", keep="first")
    own = pl.col("study_id").cast(pl.String)
    spell = pl.col("study_id").replace_strict(spelled, default=own, return_dtype=pl.String)
    return files.with_columns(spell).sort("path")
