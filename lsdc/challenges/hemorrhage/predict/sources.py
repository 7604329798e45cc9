"""Sources: the studies of a folder, of the competition's layout or of any other.

A folder with the competition's sample submission is read as a run reads its test images. Elsewhere
every DICOM file below the folder is read, whatever the folders and files are called.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.hemorrhage.competition.tables import (
    asks_for_rows,
    sample_submission,
    stage_of,
)
from lsdc.challenges.hemorrhage.index.folders import EXTENSION, find_folders
from lsdc.challenges.hemorrhage.index.images import tabulate
from lsdc.challenges.hemorrhage.index.stacks import arrange_stacks
from lsdc.challenges.hemorrhage.index.tables import OtherFiles
from lsdc.challenges.hemorrhage.predict.used import with_use
from lsdc.dicom_index.other_files import with_kind_by_name
from lsdc.errors import DataError
from lsdc.predict.blocks import split_studies
from lsdc.predict.dicom_files import OnFiles, read_headers, require_readable
from lsdc.predict.files import list_files, list_tables, relative_to
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import scan_parquet

BAD = ["path", "stage", "reason", "study_id", "series_id", "image_id"]
_IMAGE = ["of_study", "of_series", "instance_checksum", "instance_number"]


@dataclass(frozen=True)
class Studies:
    """Some of a folder's studies.

    Attributes:
        ids: the studies, in ascending order, also those without a usable image.
        images: `index.tables.Images`, with `left_out`: why an image is not used, or null.
        quarantine: `BAD` of the files that cannot be used, by their headers.
    """

    ids: tuple[str, ...]
    images: pl.DataFrame
    quarantine: pl.DataFrame


@dataclass(frozen=True)
class Source:
    """The studies of a folder.

    Attributes:
        images: a Parquet file of all images and their headers.
        quarantine: `BAD` of all files that cannot be used, by their headers; of those whose header
            cannot be read, the study is not known.
        others: the files that are no images, or copies.
        blocks: the studies, in parts to be predicted one after the other.
        is_listed: whether the competition's tables list the images, which are then all used.
    """

    images: Path
    quarantine: pl.DataFrame
    others: pl.DataFrame
    blocks: Sequence[Sequence[str]]
    is_listed: bool

    def read(self, block: Sequence[str]) -> Studies:
        """Put the images of some studies in the order of their stacks; choose those to use."""
        own = pl.col("study_id").is_in(list(block))
        headers = scan_parquet(self.images).filter(own).collect()
        return Studies(tuple(block), self._arrange(headers), self.quarantine.filter(own))

    def no_images(self) -> pl.DataFrame:
        """Return an empty table of images, as of `Studies`."""
        return self._arrange(scan_parquet(self.images).limit(0).collect())

    def _arrange(self, headers: pl.DataFrame) -> pl.DataFrame:
        types = headers.select("path", "image_type")
        images = arrange_stacks(headers).join(types, on="path", maintain_order="left")
        if self.is_listed:
            images = images.with_columns(left_out=pl.lit(None, dtype=pl.String))
        else:
            images = with_use(images)
        return images.drop("image_type")


def list_inputs(root: Path, *, leave_out: Path) -> pl.DataFrame:
    """Return path, bytes and mtime_ns of the files that a prediction may read below a folder.

    Args:
        root: the folder.
        leave_out: a folder to skip wherever it is.

    Raises:
        DataError: its sample submission cannot be read.
    """
    folders = _test_folders(root)
    if not folders:
        return list_files(root, leave_out=leave_out)
    files = [list_files(folder, leave_out=leave_out) for folder in folders]
    return pl.concat([*files, list_tables([sample_submission(root)])])


def open_source(
    root: Path,
    at: Workplace,
    studies_at_once: int,
    leave_out: Path,
    *,
    may_be_empty: bool,
    on_files: OnFiles,
) -> Source:
    """Read the headers of a folder's files, and find the studies.

    Args:
        root: the folder.
        at: the workplace.
        studies_at_once: the largest number of studies of a block.
        leave_out: a folder to skip wherever it is, such as that of the results.
        may_be_empty: whether a folder without a DICOM file is accepted, as a submission needs.
        on_files: called with the number of files read and of files to read.

    Raises:
        DataError: the folder holds no DICOM file, or its sample submission cannot be read.
    """
    root, folders = root.absolute(), _test_folders(root)
    listed = [list_files(folder, leave_out=leave_out) for folder in folders or [root]]
    files = with_kind_by_name(pl.concat(listed))
    name = pl.col("path").str.extract(r"([^/]*)$").str.replace(EXTENSION, "")
    named = files.with_columns(split=pl.lit("test"), image_id=name)
    aside = named.filter(pl.col("what").is_not_null()).with_columns(
        copy_of=pl.lit(None, dtype=pl.String)
    )
    to_read = named.filter(pl.col("what").is_null()).drop("what")
    headers = at.folder / "headers.parquet"
    read_headers(to_read, root, at, on_files).sink_parquet(headers)
    if not may_be_empty:
        require_readable(headers, root, len(files))
    read = scan_parquet(headers).collect()
    images, quarantine, others = tabulate(read if folders else _with_own_ids(read, root))
    place = at.folder / "images.parquet"
    types = read.select("path", "image_type")
    images.join(types, on="path", how="left", maintain_order="left").write_parquet(place)
    ids = pl.concat([images["study_id"], quarantine["study_id"].drop_nulls()]).unique().sort()
    return Source(
        images=place,
        quarantine=quarantine.select(BAD),
        others=pl.concat([aside.select(OtherFiles.column_names()), others]),
        blocks=split_studies(ids.to_list(), studies_at_once),
        is_listed=bool(folders),
    )


def _test_folders(root: Path) -> list[Path]:
    """Return the folders of the competition's test images; none in any other folder."""
    if not asks_for_rows(root):
        return []
    try:
        return [*find_folders(root, stage_of(root)).get("test", ())]
    except DataError:  # only the tables are there, or the images are anywhere
        return []


def _with_own_ids(headers: pl.DataFrame, root: Path) -> pl.DataFrame:
    """Give each image an id: the name of its file, or its path where another image has that name.

    Files with one SOPInstanceUID are of one image, and have one id.
    """
    study, series = (
        pl.coalesce(f"{each}_name", pl.col(f"header_{each}_id").cast(pl.String))
        for each in ("study", "series")
    )
    first = pl.col("path").first().over(_IMAGE)
    known = pl.col("instance_checksum").is_not_null() & pl.col("reason").is_null()
    rows = (
        headers.with_columns(of_study=study, of_series=series)
        .sort(pl.col("path").str.len_bytes(), "path")
        .with_columns(original=pl.when(known).then(first).otherwise("path"))
    )
    originals = rows.filter(pl.col("original") == pl.col("path"))
    below = relative_to(root, originals.select("path", original="path", name="image_id"))
    ids = below.select(
        "original",
        own_id=pl.when(pl.col("name").is_unique())
        .then("name")
        .otherwise(pl.col("path").str.replace(EXTENSION, "")),
    )
    return (
        rows.join(ids, on="original", how="left", maintain_order="left")
        .with_columns(image_id="own_id")
        .select(headers.columns)
    )
