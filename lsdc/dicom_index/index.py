"""Index: tables with one row per image and its DICOM header. Unusable files are quarantined.

`read_shard` and `join_index` read the files of the series in a competition's tables. The module
`folder_index` reads all files below any folder. Both write the same tables.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path

import polars as pl

from lsdc.dicom.header_table import Headers, reading_version
from lsdc.dicom.names import escape_name
from lsdc.dicom.reader import read_headers
from lsdc.dicom.walk import list_trees
from lsdc.dicom_index.image_use import describe_use, list_undecided, summarise_use
from lsdc.dicom_index.instances import SERIES_ID, place_files
from lsdc.dicom_index.layout import layout_of
from lsdc.dicom_index.listing import Listing, Split
from lsdc.dicom_index.other_files import NOT_LISTED, OtherFiles, others, set_aside
from lsdc.dicom_index.quarantine import Quarantine, count_files, log_bad_files, refuse_bad_files
from lsdc.dicom_index.series import Series, Studies, summarise_studies
from lsdc.dicom_index.tables import IndexTables
from lsdc.dicom_index.twins import Twins, describe_twins, find_twins
from lsdc.errors import DataError
from lsdc.messages import MOST_NAMES, Spell, counted, few
from lsdc.store.exact_names import read_parquet, scan_parquet
from lsdc.store.file_rows import FileRows, Take
from lsdc.store.files import write_atomic
from lsdc.store.table_files import write_table

log = logging.getLogger(__name__)

# Fixed, so that the same rows give the same bytes, however they are divided into shards.
_ROW_GROUP_SIZE = 2**16

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Index:
    """The tables of an index.

    Attributes:
        instances: `instance_table.Instances`.
        series: `series.Series`.
        studies: `series.Studies`.
        quarantine: `quarantine.Quarantine`.
        other_files: `other_files.OtherFiles`.
        twins: `twins.Twins`.
    """

    instances: pl.DataFrame
    series: pl.DataFrame
    studies: pl.DataFrame
    quarantine: pl.DataFrame
    other_files: pl.DataFrame
    twins: pl.DataFrame

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """Load the tables that an index stage wrote into a folder."""
        return cls(*(read_parquet(folder / f"{table.name}.parquet") for table in fields(cls)))


def listed_series(listing: Listing, split: Split, limit: int | None = None) -> pl.DataFrame:
    """Return the series that the tables list for a split, or for its first `limit` studies."""
    listed = listing.series.filter(split=split)
    if limit is None:
        return listed
    chosen = listed["study_id"].unique(maintain_order=True).head(limit)
    return listed.filter(pl.col("study_id").is_in(chosen.implode()))


def read_shard(
    listing: Listing,
    split: Split,
    listed: pl.DataFrame,
    out: Path,
    *,
    processes: int = 2,
    headers: Path | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Index the files of some studies; write their tables, for `join_index`.

    Args:
        listing: the series in the competition's tables.
        split: `train` or `test`.
        listed: all listed series of these studies.
        out: an existing folder.
        processes: the number of child processes.
        headers: a folder for cached headers; without it none are cached.
        on_progress: called with the number of files read and of all files.

    Returns:
        Number of rows of `instances`.
    """
    layout = layout_of(listing)
    folders = layout.study_folders(split, set(listed["study_id"]))
    with tempfile.TemporaryDirectory() as nowhere:
        rows = open_headers(headers or Path(nowhere), listing.root)
        found = list_trees(chain.from_iterable(folders.values()), with_status=not rows.is_empty)
        files, aside = set_aside(place_files(found, layout, listed))
        unlisted = others(files.filter(~pl.col("listed")), pl.lit(NOT_LISTED))
        files = files.filter("listed")
        kept, _ = read_files(rows, files, processes=processes, on_progress=on_progress)
        tables = IndexTables(out, pl.concat([unlisted, aside]), listing)
        tables.fill(kept, files)
    return tables.close(listed)


def join_index(
    shards: Sequence[Path],
    listing: Listing,
    split: Split,
    listed: pl.DataFrame,
    out: Path,
    *,
    other_split: Path | None = None,
    processes: int = 2,
) -> int:
    """Join the tables of `read_shard` and write those of `Index` for all studies into `out`.

    `series.parquet` has one row per listed series, `studies.parquet` one per listed study
    (`usable`: whether it has any image).

    Args:
        shards: the folders of the shards, in the order of their studies' ids.
        listing: the series in the competition's tables.
        split: `train` or `test`.
        listed: the listed series of all these studies.
        out: an existing folder.
        other_split: a folder with the index of the other split; twins are also searched there.
        processes: the number of child processes that read possible twins.

    Returns:
        Number of rows of `instances`.

    Raises:
        DataError: no listed training series has a file.
    """
    quarantine, other_files = (
        _joined(shards, name).sort("path").collect() for name in ("quarantine", "other_files")
    )
    found = _joined(shards, "series").collect()
    series = listed.select(SERIES_ID).join(found, on=SERIES_ID, maintain_order="left")
    series = series.select(Series.column_names())
    images = int(series["images"].sum())
    if not images and not len(quarantine) and split == "train":  # test studies are predicted anyway
        raise DataError(_nothing_found(listing, split, listed))
    write_table(Series, series, out / "series.parquet")
    write_table(Studies, summarise_studies(series), out / "studies.parquet")
    write_table(Quarantine, quarantine, out / "quarantine.parquet")
    write_table(OtherFiles, other_files, out / "other_files.parquet")
    with write_atomic(out / "instances.parquet") as temporary:
        _joined(shards, "instances").sink_parquet(temporary, row_group_size=_ROW_GROUP_SIZE)
    folders = [out] if other_split is None else [other_split, out]
    every = scan_parquet(*(folder / "instances.parquet" for folder in folders))
    twins = find_twins(every, processes=processes).filter(split=split)
    write_table(Twins, twins, out / "twins.parquet")
    log_index(split, Index.load(out), listing.spell)
    if split == "test":
        rows = rows_left_out(listing)
        _warn("index test: skipped %s of test_series_descriptions.csv: %s", rows, "invalid row")
    _log_use(split, _joined(shards, "instances"), listing.spell)
    return images


def _joined(shards: Sequence[Path], name: str) -> pl.LazyFrame:
    return scan_parquet(*(shard / f"{name}.parquet" for shard in shards))


def _nothing_found(listing: Listing, split: Split, listed: pl.DataFrame) -> str:
    folder = listing.root / f"{split}_images"
    study, series = listed.select("study_id", "series_id").row(0)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    got = f"entries such as {names[0]!r}" if names else "nothing"
    return (
        f"{folder}: none of the {len(listed)} listed series has a file; expected folders such as "
        f"{study}/{series}, found {got}; put the images there"
    )


def log_index(split: Split | None, index: Index, spell: Spell = str) -> None:
    """Log the names of files and series that are not used, or that are unusual.

    The first few names are in a warning, all of them in a debug message.

    Args:
        split: the split of the index; None for the index of any folder.
        index: the tables.
        spell: function that writes an id as in the tables.
    """
    name = f"index {split}" if split else "index"
    log_bad_files(name, index.quarantine, total=count_files(index.instances, index.quarantine))
    kinds = index.other_files.filter(pl.col("what") != NOT_LISTED)
    counts = kinds["what"].value_counts(sort=True).iter_rows()
    tally = [f"{count} {what}" for what, count in counts]
    _warn(f"{name}: skipped %s, copies or not slices: %s", tally, "file", len(kinds))
    for path, what in kinds.select("path", "what").iter_rows():
        log.debug("%s: %s skipped: %s", name, path, what)
    _log_unlisted(name, index.other_files.filter(what=NOT_LISTED))
    missing = series_without_images(index, spell)
    _warn(f"{name}: %s without a usable image: %s", missing, "listed series")
    if split is not None:
        unusual = series_with_other_paths(index.instances, spell)
        _warn(f"{name}: %s with other paths than STUDY/SERIES/NUMBER.dcm: %s", unusual, "series")
    twins = describe_twins(index.twins, spell)
    _warn(f"{name}: %s of ids with the same images: %s", twins, "pair")
    unusable = index.studies.filter(~pl.col("usable"))["study_id"]
    _warn(f"{name}: %s without a usable image: %s", list(map(spell, unusable)), "study")


def _log_unlisted(name: str, files: pl.DataFrame) -> None:
    """Log the folders of files that the tables do not list."""
    folders = (
        files.group_by(
            pl.col("path").str.extract(r"^(.*)/[^/]*$"), in_none=pl.col("series_id").is_null()
        )
        .agg(files=pl.len())
        .sort("path")
        # Files directly in the folder of a listed study: they belong to no series.
        .with_columns(own=pl.col("in_none") & pl.col("path").str.contains(r"/[0-9]+$"))
    )
    others = folders.filter(~pl.col("own"))["path"].unique(maintain_order=True).to_list()
    _warn(f"{name}: skipped %s that no table lists: %s", others, "folder")
    own = folders.filter("own")
    counts = [f"{path} ({count})" for path, count in own.select("path", "files").iter_rows()]
    _warn(f"{name}: %s with files outside the series folders, not read: %s", counts, "study")


def _log_use(split: Split, instances: pl.LazyFrame, spell: Spell) -> None:
    """Log the series with several images at a position, and what images are used as."""
    _warn(
        f"index {split}: %s with several images at each position; neither EchoTime nor annotated "
        "points show which to use, so the lowest instance number is preferred: %s",
        list_undecided(instances, spell),
        "series",
    )
    for line in describe_use(summarise_use(instances), spell):
        log.warning("index %s: %s", split, line)


def rows_left_out(listing: Listing) -> list[str]:
    """Return the invalid rows of the test table, and why they are skipped."""
    return [
        f"line {row['line']} ({row['series_description']!r}): {row['why']}"
        for row in listing.left_out.iter_rows(named=True)
    ]


def series_without_images(index: Index, spell: Spell = str) -> list[str]:
    """Return listed series without any usable file, and why: `STUDY/SERIES (no file)`."""
    series = ["study_id", "series_id"]
    rows = index.series.filter(pl.col("images") == 0, pl.col("series_description").is_not_null())
    kinds = (
        index.other_files.join(rows, on=series, how="semi")
        .group_by(*series, "what")
        .agg(files=pl.len())
        .sort("files", "what", descending=[True, False])
    )
    skipped: dict[tuple[int, int], list[str]] = {}
    for study, one, what, count in kinds.iter_rows():
        skipped.setdefault((study, one), []).append(f"{count} {what}")
    named = []
    for study, one, bad in rows.select(*series, "quarantined").iter_rows():
        why = [f"{bad} quarantined"] if bad else []
        if others := skipped.get((study, one)):
            why.append(f"skipped: {', '.join(others)}")
        named.append(f"{spell(study)}/{spell(one)} ({'; '.join(why) or 'no file'})")
    return named


def series_with_other_paths(instances: pl.DataFrame, spell: Spell = str) -> list[str]:
    """Return the series in which no file is named STUDY/SERIES/NUMBER.dcm."""
    usual = pl.col("path").str.contains(r"/[0-9]+/[0-9]+/[0-9]+\.dcm$")
    rows = instances.group_by(SERIES_ID, maintain_order=True).agg(usual.any())
    return [
        f"{spell(study)}/{spell(series)}"
        for study, series in rows.filter(~pl.col("path")).select("study_id", "series_id").rows()
    ]


def _warn(message: str, names: Sequence[str], noun: str, count: int | None = None) -> None:
    """Log a warning with a counted noun and the first few names; all names go to the log file."""
    number = counted(count or len(names), noun)
    if names:
        log.warning(message, number, few(names))
    if len(names) > MOST_NAMES:
        log.debug(message, number, ", ".join(names))


def require_usable(
    folder: Path, listing: Listing, split: Split, *, max_bad: float, strict: bool
) -> None:
    """Refuse an index with too many bad training files or, with `strict`, a study without images.

    Call it once the index is stored, so that it can be inspected.

    Args:
        folder: a folder with the tables of an index.
        listing: the series in the competition's tables.
        split: `train` or `test`.
        max_bad: the fraction of bad training files above which the index is refused.
        strict: whether to refuse a listed study without usable images, and an invalid row of the
            test table.

    Raises:
        StageError: more than `max_bad` of the training files, and at least 10, cannot be used.
        DataError: with `strict`, a study has no usable image, or a row is invalid.
    """
    index = Index.load(folder)
    if split == "train":
        total = count_files(index.instances, index.quarantine)
        refuse_bad_files("index", index.quarantine, total=total, max_bad=max_bad)
    if strict and split == "test" and (left_out := rows_left_out(listing)):
        raise DataError(
            f"{listing.root / 'test_series_descriptions.csv'}: {few(left_out)}; correct the "
            "table, or run without --strict"
        )
    without = index.studies.filter(~pl.col("usable"))["study_id"].to_list()
    if strict and without:
        raise DataError(
            f"index {split}: {counted(len(without), 'study')} without a usable image: "
            f"{few(list(map(listing.spell, without)))}; add images, or run without --strict"
        )


def open_headers(parent: Path, root: Path, *, part: str = "") -> FileRows:
    """Open the cached headers of the files below a root, or of a part of them.

    Args:
        parent: the folder for the cached headers of all roots.
        root: the folder of the files.
        part: a name for some of the files, whose headers are then cached apart: opening a cache
            takes longer the more it holds.
    """
    name = f"{escape_name(root.absolute())}{part and chr(0)}{part}"
    return FileRows(parent, name, schema=pl.Schema(Headers), version=reading_version())


def read_files(
    rows: FileRows, files: pl.DataFrame, *, processes: int, on_progress: Progress | None
) -> tuple[pl.LazyFrame, int]:
    """Return the headers of the files (cached if unchanged), and how many files were read."""

    def read(names: list[str], take: Take) -> None:
        read_headers(names, take, processes=processes, on_progress=on_progress)

    return rows.read(files.select("path", "bytes", "mtime_ns"), read)
