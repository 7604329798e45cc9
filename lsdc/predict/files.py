"""The files of a folder that is predicted: listed, and named in the results."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.dicom.names import escape_name
from lsdc.dicom.walk import list_tree
from lsdc.errors import DataError


def require_folder(root: Path, content: str = "DICOM files") -> None:
    """Refuse a folder that does not exist.

    Args:
        root: the folder.
        content: what is expected somewhere below it.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder, expected one with {content} somewhere below it")


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
