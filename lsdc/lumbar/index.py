"""Index: the headers of every file, a row each; what cannot be used is quarantined.

`build_index` reads what the tables of a competition list, for the stages that follow; `tree` reads
all there is below any folder. Both leave the same four tables.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.dicom.header_table import HEADERS, reading_version
from lsdc.dicom.names import escape_name
from lsdc.dicom.reader import read_headers
from lsdc.dicom.walk import list_folders
from lsdc.errors import DataError
from lsdc.lumbar.instances import INSTANCES, SERIES_ID, STUDY_ID, place_files, tabulate
from lsdc.lumbar.quarantine import QUARANTINE, check_bad_files
from lsdc.lumbar.series import SERIES, add_listed, summarise_series, summarise_studies
from lsdc.lumbar.tables import Competition, Split
from lsdc.store.file_rows import FileRows, Take
from lsdc.store.files import write_atomic

log = logging.getLogger(__name__)

# Rows that are looked at together; more would fill the memory.
_ROWS_AT_ONCE = 60_000
_FILES_AT_ONCE = 200_000

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
        return cls(*(pl.read_parquet(folder / f"{name}.parquet") for name in names))


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
    listed = competition.series.filter(split=split)
    if limit is not None:
        chosen = listed["study_id"].unique(maintain_order=True).head(limit)
        listed = listed.filter(pl.col("study_id").is_in(chosen.implode()))
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
        if not len(files) and split == "train":  # a test study is predicted from what it has
            raise DataError(
                f"{competition.root}/{split}_images: none of the {len(listed)} listed series has a "
                ".dcm file; expected {study_id}/{series_id}/{instance}.dcm"
            )
        _warn_of_strangers(competition, split, listed)
        kept, _ = read_files(rows, files, processes=processes, on_progress=on_progress)
        tables = IndexTables(out)
        tables.fill(kept, files)
    check_bad_files("index", tables.quarantine, total=len(files), max_bad=max_bad)
    instances = tables.close(listed)
    _warn_of_empty_studies(split, pl.read_parquet(out / "studies.parquet"), strict=strict)
    return instances


class IndexTables:
    """The four tables while they grow, in parts that fit into memory."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._parts: list[Path] = []
        self._series = [pl.DataFrame(schema=SERIES)]
        self.quarantine = pl.DataFrame(
            schema={**QUARANTINE, **dict.fromkeys(SERIES_ID, pl.Int64()), "listed": pl.Boolean()}
        )

    def fill(self, headers: pl.LazyFrame, files: pl.DataFrame) -> None:
        """Take in the headers of files that `place_files` has placed."""
        for part in _whole_studies(headers, files.drop("bytes", "mtime_ns"), self._out):
            instances, quarantine = tabulate(part)
            path = self._out / f".instances-{len(self._parts):06d}.parquet"
            instances.write_parquet(path)
            self._parts.append(path)
            self._series.append(summarise_series(instances, quarantine))
            self.quarantine = pl.concat([self.quarantine, quarantine])

    def close(self, listed: pl.DataFrame | None) -> int:
        """Write the tables; how many rows `instances` has."""
        series = pl.concat(self._series)
        if listed is not None:
            series = add_listed(series, listed)
        self._write("series", series)
        self._write("studies", summarise_studies(series))
        self._write("quarantine", self.quarantine.select(list(QUARANTINE)).sort("path"))
        instances = pl.scan_parquet(self._parts) if self._parts else pl.LazyFrame(schema=INSTANCES)
        with write_atomic(self._out / "instances.parquet") as temporary:
            instances.sink_parquet(temporary)
        for part in self._parts:
            part.unlink()
        return int(series["images"].sum())

    def _write(self, name: str, table: pl.DataFrame) -> None:
        with write_atomic(self._out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)


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


def _whole_studies(
    headers: pl.LazyFrame, files: pl.DataFrame, scratch: Path
) -> Iterator[pl.DataFrame]:
    """Headers beside their files, in parts of about `_ROWS_AT_ONCE`, each of whole studies.

    Many rows are joined block by block and lie in the folder `scratch` meanwhile: to join all of
    them, and for every part anew, takes more memory and time.
    """
    if len(files) <= _ROWS_AT_ONCE:
        yield headers.join(files.lazy(), on="path", how="inner").collect()
        return
    blocks = []
    for number, block in enumerate(files.iter_slices(_FILES_AT_ONCE)):
        blocks.append(scratch / f".placed-{number:06d}.parquet")
        headers.join(block.lazy(), on="path", how="inner").sink_parquet(blocks[-1])
    placed = pl.scan_parquet(blocks)
    studies = placed.group_by(STUDY_ID).len().sort("study_id").collect()
    part = (studies["len"].cum_sum() - 1) // _ROWS_AT_ONCE
    for _, some in studies.group_by(part, maintain_order=True):
        ids = some["study_id"]
        yield placed.filter(STUDY_ID.is_between(ids.min(), ids.max())).collect()
    for path in blocks:
        path.unlink()


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
