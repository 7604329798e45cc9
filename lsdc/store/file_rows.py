"""A cache of what was read from files: one row per file, in Parquet shards.

A row is valid while its file has the same size and mtime and the reader has the same version. A
shard is written when it is complete, so a killed run loses only the files of the last shard.
"""

import logging
import shutil
from collections.abc import Callable
from hashlib import blake2b, sha256
from io import BytesIO
from pathlib import Path

import polars as pl

from lsdc.store.exact_names import scan_parquet
from lsdc.store.files import digest_file, write_atomic, write_folder

log = logging.getLogger(__name__)

_KEY = ["path", "bytes", "mtime_ns"]
_MOST_SHARDS = 32

Take = Callable[[pl.DataFrame], None]


class FileRows:
    """The cached rows of the files below one root.

    Args:
        parent: folder for the caches of all roots.
        root: folder of the files; any text that identifies it.
        schema: schema of the rows: `path`, `bytes`, `mtime_ns`, `lasting` (whether the row may be
            cached), and the columns that are read.
        version: version of the reader; rows of other versions are deleted.
    """

    def __init__(
        self, parent: Path, root: str, *, schema: dict[str, pl.DataType], version: str
    ) -> None:
        self._schema = schema
        name, tag = (blake2b(text.encode(), digest_size=8).hexdigest() for text in (root, version))
        self._folder = parent / f"{name}-{tag}"
        for other in parent.glob(f"{name}-*"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        self._old = self._whole_shards()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is cached, so that no file's size or mtime is needed."""
        return not self._old

    def read(
        self, files: pl.DataFrame, read: Callable[[list[str], Take], None]
    ) -> tuple[pl.LazyFrame, int]:
        """Return the rows of files; new and changed files are read.

        Args:
            files: `path`, `bytes` and `mtime_ns`; these two may be null if the cache is empty.
            read: reads the given paths and passes tables of the schema to the given function.

        Returns:
            (rows, n): one row per file, and the number of files that were read.
        """
        wanted = files.lazy().select(_KEY)
        known = self._scan(self._old)
        new = wanted.join(known.select(_KEY), on=_KEY, how="anti", maintain_order="left").collect()
        fresh: list[Path] = []
        passing: list[pl.LazyFrame] = []

        def take(table: pl.DataFrame) -> None:
            lasting = table.filter("lasting")
            if len(lasting):
                fresh.append(self._write(lasting))
            if len(lasting) < len(table):
                passing.append(table.filter(~pl.col("lasting")).lazy())

        if len(new):
            read(new["path"].to_list(), take)
        standing = known.join(wanted, on=_KEY, how="semi")
        return pl.concat([standing, self._scan(fresh), *passing]), len(new)

    def keep_only(self, rows: pl.LazyFrame, files: int) -> None:
        """Delete all other rows, once there are enough of them to be worth it.

        Args:
            rows: rows returned by `read`.
            files: number of these rows.
        """
        shards = sorted(self._folder.glob("[0-9]*.parquet"))  # skips leftovers of a killed writer
        kept = self._scan(shards).select(pl.len()).collect().item()
        if kept <= 1.5 * files and len(shards) <= _MOST_SHARDS:
            return
        with write_folder(self._folder.parent) as folder:
            shard = folder / "shard.parquet"
            rows.filter("lasting").sink_parquet(shard)
            shard.rename(folder / _shard_name(0, digest_file(shard)))
            shutil.rmtree(self._folder)  # if killed here, all files are read again
            folder.rename(self._folder)

    def _whole_shards(self) -> list[Path]:
        """Return the intact shards, and delete damaged ones."""
        whole = []
        for shard in sorted(self._folder.glob("[0-9]*.parquet")):
            if shard.name.endswith(_shard_name(0, digest_file(shard))[6:]):
                whole.append(shard)
            else:
                log.warning("%s is damaged; the files in it are read again", shard)
                shard.unlink()
        return whole

    def _write(self, table: pl.DataFrame) -> Path:
        content = BytesIO()
        table.write_parquet(content, compression="lz4")
        number = sum(1 for _ in self._folder.glob("[0-9]*.parquet"))
        digest = sha256(content.getbuffer()).hexdigest()
        path = self._folder / _shard_name(number, digest)
        with write_atomic(path) as temporary:
            temporary.write_bytes(content.getbuffer())
        return path

    def _scan(self, shards: list[Path]) -> pl.LazyFrame:
        return scan_parquet(*shards) if shards else pl.LazyFrame(schema=self._schema)


def _shard_name(number: int, digest: str) -> str:
    """Return a shard's name, which holds its digest."""
    return f"{number:06d}-{digest[:16]}.parquet"
