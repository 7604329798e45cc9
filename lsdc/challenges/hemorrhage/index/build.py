"""Index: one row per image and its header, from flat folders. Unusable files are quarantined.

    read_shard     read the headers of some of the files
    join_index     join what was read, and put the images of each series into order
    build_index    do both for all files, one part after another

The study of a file is known only once its header is read. So files are read in parts of the list of
their names, and whole studies are put together by the join. Time per file and memory depend little
on the number of files: the join takes a few studies at a time.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import polars as pl

from lsdc.challenges.hemorrhage.index.folders import Stage, find_folders, list_files
from lsdc.challenges.hemorrhage.index.images import tabulate
from lsdc.challenges.hemorrhage.index.stacks import SERIES, arrange_stacks
from lsdc.challenges.hemorrhage.index.summaries import summarise_series, summarise_studies
from lsdc.challenges.hemorrhage.index.tables import (
    Images,
    OtherFiles,
    Quarantine,
    ReadImages,
    Series,
    Studies,
)
from lsdc.dicom_index.index import Progress, open_headers, read_files
from lsdc.dicom_index.other_files import group_others, with_kind_by_name
from lsdc.dicom_index.quarantine import count_files, log_bad_files, refuse_bad_files
from lsdc.errors import DataError
from lsdc.messages import counted, few
from lsdc.store.exact_names import read_parquet, scan_parquet
from lsdc.store.files import write_atomic
from lsdc.store.table_files import write_table

log = logging.getLogger(__name__)

# Parts whose headers are cached together: as many as a shard on one host has.
PARTS_A_BLOCK = 512
# Images put into order together; more would fill the memory.
_IMAGES_AT_ONCE = 30_000
# Small, so that the join of a few studies reads little else.
_ROWS_OF_A_GROUP = 2048
# Fixed, so that the same rows give the same bytes, however they are divided into shards.
_ROW_GROUP_SIZE = 2**16


@dataclass(frozen=True)
class Index:
    """The tables of an index, as `tables` declares them.

    Attributes:
        images: `Images`.
        series: `Series`.
        studies: `Studies`.
        quarantine: `Quarantine`.
        other_files: `OtherFiles`.
    """

    images: pl.DataFrame
    series: pl.DataFrame
    studies: pl.DataFrame
    quarantine: pl.DataFrame
    other_files: pl.DataFrame

    @classmethod
    def load(cls, *folders: Path) -> "Index":
        """Load the tables of one index, or of those of both splits."""
        return cls(
            *(
                pl.concat(read_parquet(folder / f"{table.name}.parquet") for folder in folders)
                for table in fields(cls)
            )
        )


def read_shard(
    files: pl.DataFrame,
    out: Path,
    *,
    root: Path,
    processes: int = 2,
    headers: Path | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Read the headers of some files and write tables of them, for `join_index`.

    Args:
        files: rows of `folders.ListedFiles`; whole parts.
        out: an existing folder.
        root: the competition's folder, which the cached headers belong to.
        processes: the number of child processes.
        headers: a folder for cached headers; without it none are cached.
        on_progress: called with the number of files read and of all files.

    Returns:
        Number of rows of `images`.
    """
    read = [
        tuple(table.create_empty() for table in (ReadImages, Quarantine, OtherFiles)),
        *_read_blocks(files, root, processes, headers, on_progress),
    ]
    images, quarantine, others = (pl.concat(each) for each in zip(*read, strict=True))
    ReadImages.check(images)
    with write_atomic(out / "images.parquet") as temporary:
        images.sort(*SERIES, "image_id").write_parquet(temporary, row_group_size=_ROWS_OF_A_GROUP)
    write_table(Quarantine, quarantine, out / "quarantine.parquet")
    write_table(OtherFiles, others, out / "other_files.parquet")
    return len(images)


def _read_blocks(
    files: pl.DataFrame,
    root: Path,
    processes: int,
    headers: Path | None,
    on_progress: Progress | None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Read the files whose headers are cached together; yield the tables of each such block."""
    done = 0

    def report(read: int, _: int) -> None:
        if on_progress is not None:
            on_progress(done + read, len(files))

    for name, own in _blocks(files):
        kinds = with_kind_by_name(own)
        known = pl.col("what").is_not_null()
        aside = kinds.filter(known).with_columns(copy_of=pl.lit(None, dtype=pl.String))
        to_read = kinds.filter(~known)
        named = to_read.select("path", "split", "image_id").lazy()
        with tempfile.TemporaryDirectory() as nowhere:
            rows = open_headers(headers or Path(nowhere), root, part=name)
            kept, _ = read_files(rows, to_read, processes=processes, on_progress=report)
            read = kept.join(named, on="path", how="inner").collect()
        images, quarantine, others = tabulate(read)
        yield images, quarantine, pl.concat([aside.select(OtherFiles.column_names()), others])
        done += len(own)
        report(0, 0)


def _blocks(files: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Divide files into those whose headers are cached together, each with a name."""
    number, count = (pl.col(name) // PARTS_A_BLOCK for name in ("part", "parts"))
    name = pl.format("{} {} of {}", "split", number, count)
    return [(str(key), own) for (key,), own in files.group_by(name, maintain_order=True)]


def join_index(shards: Sequence[Path], out: Path) -> int:
    """Join the tables of `read_shard` and write those of `Index` into `out`.

    Args:
        shards: the folders of all shards, in any order.
        out: an existing folder.

    Returns:
        Number of rows of `images`.
    """
    quarantine, others = (
        _joined(shards, name).sort("path").collect() for name in ("quarantine", "other_files")
    )
    write_table(Quarantine, quarantine, out / "quarantine.parquet")
    write_table(OtherFiles, others, out / "other_files.parquet")
    series, studies, parts = [], [], list[Path]()
    rest = quarantine
    for images in _whole_studies(_joined(shards, "images")):
        arranged = arrange_stacks(images)
        own = rest.join(images, on=SERIES[:2], how="semi")
        rest = rest.join(images, on=SERIES[:2], how="anti")
        series.append(summarise_series(arranged, own))
        studies.append(summarise_studies(arranged, series[-1]))
        parts.append(out / f".images-{len(parts):06d}.parquet")
        write_table(Images, arranged, parts[-1])
    # Studies of which no file can be used.
    series.append(summarise_series(Images.create_empty(), rest))
    studies.append(summarise_studies(Images.create_empty(), series[-1]))
    for table, frames in ((Series, series), (Studies, studies)):
        name = table.__name__.lower()
        ids = [each for each in SERIES if each in table.column_names()]
        write_table(table, pl.concat(frames).sort(ids), out / f"{name}.parquet")
    every = scan_parquet(*parts) if parts else Images.create_empty().lazy()
    with write_atomic(out / "images.parquet") as temporary:
        every.sink_parquet(temporary, row_group_size=_ROW_GROUP_SIZE)
    for part in parts:
        part.unlink()
    rows = int(sum(each["images"].sum() for each in studies))
    log_bad_files("index", quarantine, total=rows + len(quarantine))
    _log_others(others)
    return rows


def _log_others(others: pl.DataFrame) -> None:
    """Log how many files are not images, by type, and for the log file each of them."""
    kinds = group_others(others).select("files", "what").iter_rows()
    if tally := [f"{files} {what}" for files, what in kinds]:
        skipped = counted(len(others), "file")
        log.warning("index: skipped %s, copies or no images: %s", skipped, few(tally))
    for path, what in others.select("path", "what").iter_rows():
        log.debug("index: %s skipped: %s", path, what)


def build_index(
    root: Path,
    out: Path,
    *,
    stage: Stage | None = None,
    processes: int = 2,
    headers: Path | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Index the images of a competition's folder, both splits, and write `Index` into `out`.

    Args:
        root: the competition's folder.
        out: an existing folder.
        stage: the stage of the competition's tables; by default the last one that has a folder.
        processes: the number of child processes.
        headers: a folder for cached headers; without it none are cached.
        on_progress: called with the number of files read and of all files.

    Returns:
        Number of rows of `images`.

    Raises:
        DataError: there is no folder of images.
    """
    files = list_files(find_folders(root, stage))
    blocks = [own for _, own in _blocks(files)]
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        shards, done = list[Path](), 0

        def report(read: int, _: int) -> None:
            if on_progress is not None:
                on_progress(done + read, len(files))

        for own in blocks or [files]:
            shards.append(Path(scratch) / f"{len(shards):06d}")
            shards[-1].mkdir()
            read_shard(
                own,
                shards[-1],
                root=root,
                processes=processes,
                headers=headers,
                on_progress=report,
            )
            done += len(own)
        return join_index(shards, out)


def require_usable(folder: Path, *, max_bad: float, strict: bool) -> None:
    """Refuse an index with too many bad training files or, with `strict`, a study without images.

    Call it once the index is stored, so that it can be inspected.

    Args:
        folder: a folder with the tables of an index.
        max_bad: the fraction of bad training files above which the index is refused.
        strict: whether to refuse a study without usable images.

    Raises:
        StageError: more than `max_bad` of the training files, and at least 10, cannot be used.
        DataError: with `strict`, a study has no usable image.
    """
    index = Index.load(folder)
    bad, good = (table.filter(split="train") for table in (index.quarantine, index.images))
    refuse_bad_files("index", bad, total=count_files(good, bad), max_bad=max_bad)
    without = index.studies.filter(~pl.col("usable"))["study_id"].to_list()
    if strict and without:
        raise DataError(
            f"index: {counted(len(without), 'study')} without a usable image: {few(without)}; add "
            "images, or run without --strict"
        )


def _whole_studies(images: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield all images in parts of about `_IMAGES_AT_ONCE`, of whole studies, sorted by study."""
    split, study = pl.col("split"), pl.col("study_id")
    counts = images.group_by(split, study).len().sort("split", "study_id").collect()
    for (name,), own in counts.group_by("split", maintain_order=True):
        part = (own["len"].cum_sum() - 1) // _IMAGES_AT_ONCE
        for _, some in own.group_by(part, maintain_order=True):
            first, last = (pl.lit(some["study_id"][place]) for place in (0, -1))
            between = study.is_between(first, last)
            yield images.filter(between, split == pl.lit(name)).collect()


def _joined(shards: Sequence[Path], name: str) -> pl.LazyFrame:
    return scan_parquet(*(shard / f"{name}.parquet" for shard in shards))
