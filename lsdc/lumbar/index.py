"""Index: the headers of every file, a row each; what cannot be used is quarantined.

`build_index` reads what the tables of a competition list, for the stages that follow; `tree` reads
all there is below any folder. Both leave the same four tables.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.dicom.header_table import HEADERS, reading_version
from lsdc.dicom.names import escape_name
from lsdc.dicom.reader import read_headers
from lsdc.dicom.walk import list_folders
from lsdc.errors import DataError
from lsdc.lumbar.image_use import describe_use, summarise_use
from lsdc.lumbar.index_tables import IndexTables
from lsdc.lumbar.instances import SERIES_ID, place_files
from lsdc.lumbar.quarantine import check_bad_files
from lsdc.lumbar.series import SERIES, summarise_studies
from lsdc.lumbar.tables import Competition, Split
from lsdc.store.exact_names import read_parquet, scan_parquet
from lsdc.store.file_rows import FileRows, Take
from lsdc.store.files import write_atomic

log = logging.getLogger(__name__)

# Fixed, else the same rows would be other bytes where other shards were joined.
_ROWS_A_GROUP = 2**16

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Index:
    """The four tables of an index: `instances.INSTANCES`, `series.SERIES`, studies, quarantine."""

    instances: pl.DataFrame
    series: pl.DataFrame
    studies: pl.DataFrame
    quarantine: pl.DataFrame

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """The tables that an index stage wrote into a folder."""
        names = ("instances", "series", "studies", "quarantine")
        return cls(*(read_parquet(folder / f"{name}.parquet") for name in names))


def build_index(
    competition: Competition,
    split: Split,
    out: Path,
    *,
    limit: int | None = None,
    processes: int = 2,
    max_bad: float = 0.01,
    strict: bool = False,
    headers: Path | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Index the files of a split's listed series and write four tables into `out`.

    `instances.parquet` has a row a usable file, `series.parquet` a row a listed series,
    `studies.parquet` a row a listed study (`usable` says whether it has any image), and
    `quarantine.parquet` a row a file that cannot be used, with the reason.

    Args:
        competition: the opened tables.
        split: `train` or `test`.
        out: an existing folder.
        limit: the first so many studies only.
        processes: how many children read.
        max_bad: the share of bad files that stops the stage.
        strict: refuse a listed study without usable images.
        headers: a folder that keeps headers from one time to the next; none are kept without.
        on_progress: called with files read and files in all.

    Returns:
        Rows of `instances`.

    Raises:
        DataError: no listed training series has a file; with `strict`, a study has no usable image.
        StageError: more than `max_bad` of the files, and at least 10, cannot be used.
    """
    listed = listed_series(competition, split, limit)
    with tempfile.TemporaryDirectory(dir=out) as shard:
        read_shard(
            competition,
            split,
            listed,
            Path(shard),
            processes=processes,
            headers=headers,
            on_progress=on_progress,
        )
        return join_index(
            [Path(shard)], competition, split, listed, out, max_bad=max_bad, strict=strict
        )


def listed_series(competition: Competition, split: Split, limit: int | None = None) -> pl.DataFrame:
    """The series that the tables list for a split, or for the first so many studies of it."""
    listed = competition.series.filter(split=split)
    if limit is None:
        return listed
    chosen = listed["study_id"].unique(maintain_order=True).head(limit)
    return listed.filter(pl.col("study_id").is_in(chosen.implode()))


def read_shard(
    competition: Competition,
    split: Split,
    listed: pl.DataFrame,
    out: Path,
    *,
    processes: int = 2,
    headers: Path | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Index the files of some studies: the tables of `build_index`, for `join_index`.

    Args:
        competition: the opened tables.
        split: `train` or `test`.
        listed: all listed series of these studies.
        out: an existing folder.
        processes: how many children read.
        headers: a folder that keeps headers from one time to the next; none are kept without.
        on_progress: called with files read and files in all.

    Returns:
        Rows of `instances`.
    """
    with tempfile.TemporaryDirectory() as nowhere:
        rows = open_headers(headers or Path(nowhere), competition.root)
        found = list_folders(
            [
                competition.image_folder(split, study, series)
                for study, series in listed.select(SERIES_ID).iter_rows()
            ],
            with_status=not rows.is_empty,
        )
        files = place_files(found.filter(pl.col("name").str.ends_with(".dcm")), listed)
        kept, _ = read_files(rows, files, processes=processes, on_progress=on_progress)
        tables = IndexTables(out, competition.annotations)
        tables.fill(kept, files)
    return tables.close(listed)


def join_index(
    shards: Sequence[Path],
    competition: Competition,
    split: Split,
    listed: pl.DataFrame,
    out: Path,
    *,
    max_bad: float,
    strict: bool,
) -> int:
    """Write the tables of all studies into `out`, given those that `read_shard` left of some.

    Args:
        shards: folders, in the order of their studies' numbers.
        competition: the opened tables.
        split: `train` or `test`.
        listed: the listed series of all these studies.
        out: an existing folder.
        max_bad: the share of bad files that stops the stage.
        strict: refuse a listed study without usable images.

    Returns:
        Rows of `instances`.

    Raises:
        DataError, StageError: see `build_index`.
    """
    quarantine = _joined(shards, "quarantine").sort("path").collect()
    found = _joined(shards, "series").collect()
    series = listed.select(SERIES_ID).join(found, on=SERIES_ID, maintain_order="left")
    series = series.select(list(SERIES))
    images = int(series["images"].sum())
    if not images and not len(quarantine) and split == "train":  # a test study is predicted anyway
        raise DataError(
            f"{competition.root}/{split}_images: none of the {len(listed)} listed series has a "
            ".dcm file; expected {study_id}/{series_id}/{instance}.dcm"
        )
    _warn_of_strangers(competition, split, listed)
    check_bad_files("index", quarantine, total=images + len(quarantine), max_bad=max_bad)
    studies = summarise_studies(series)
    for name, table in (("series", series), ("studies", studies), ("quarantine", quarantine)):
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)
    with write_atomic(out / "instances.parquet") as temporary:
        _joined(shards, "instances").sink_parquet(temporary, row_group_size=_ROWS_A_GROUP)
    _warn_of_empty_studies(split, studies, strict=strict)
    for line in describe_use(summarise_use(_joined(shards, "instances"))):
        log.warning("index %s: %s", split, line)
    return images


def _joined(shards: Sequence[Path], name: str) -> pl.LazyFrame:
    return scan_parquet(*(shard / f"{name}.parquet" for shard in shards))


def open_headers(parent: Path, root: Path) -> FileRows:
    """The headers that were read before of the files below a root."""
    return FileRows(parent, escape_name(root.absolute()), schema=HEADERS, version=reading_version())


def read_files(
    rows: FileRows, files: pl.DataFrame, *, processes: int, on_progress: Progress | None
) -> tuple[pl.LazyFrame, int]:
    """The headers of files, read only where they are new or changed, and how many were read."""

    def read(names: list[str], take: Take) -> None:
        read_headers(names, take, processes=processes, on_progress=on_progress)

    return rows.read(files.select("path", "bytes", "mtime_ns"), read)


def _warn_of_empty_studies(split: str, studies: pl.DataFrame, *, strict: bool) -> None:
    without = studies.filter(~pl.col("usable"))["study_id"].to_list()
    if not without:
        return
    first = ", ".join(map(str, without[:5])) + (" ..." if len(without) > 5 else "")
    message = f"index {split}: {len(without)} studies without usable images: {first}"
    if strict:
        raise DataError(f"{message}; complete them, or run without --strict")
    log.warning("%s", message)


def _warn_of_strangers(competition: Competition, split: Split, listed: pl.DataFrame) -> None:
    """Name the series folders that no table lists; they are not read."""
    known = {f"{study}/{series}" for study, series in listed.select(SERIES_ID).rows()}
    strangers = []
    for study in listed["study_id"].unique().sort():
        folder = competition.image_folder(split, study, 0).parent
        if folder.is_dir():
            names = (f"{study}/{entry.name}" for entry in sorted(folder.iterdir()))
            strangers += [name for name in names if name not in known]
    if strangers:
        log.warning(
            "%s: %d folders or files in no table are left out: %s",
            f"{split}_images",
            len(strangers),
            ", ".join(strangers[:5]) + (" ..." if len(strangers) > 5 else ""),
        )
