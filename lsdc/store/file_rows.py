"""What was read of files before: a row a file in Parquet shards, believed while it stands.

A row stands while its file has the same size and mtime, and while what reads files is the same. A
shard is written when it is whole, so a run that is killed loses the files of the last one.
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
    """The rows of the files below one root.

    Args:
        parent: a folder for the rows of all roots.
        root: what the files lie below; any text that tells roots apart.
        schema: of the rows: `path`, `bytes`, `mtime_ns`, `lasting` (whether the row may be
            believed at all another time), and whatever else is read.
        version: of what reads; rows of another one are thrown away.
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
        """Whether nothing was read before, so that no file's size or time need be known."""
        return not self._old

    def read(
        self, files: pl.DataFrame, read: Callable[[list[str], Take], None]
    ) -> tuple[pl.LazyFrame, int]:
        """The rows of files; those that are new or changed are read.

        Args:
            files: `path`, `bytes` and `mtime_ns`; the latter may be null if no row is there yet.
            read: given paths, hands tables with the schema's rows to the function it is given.

        Returns:
            (rows, n): a row a file, and how many of the files were read.
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
        """Throw all other rows away, once there are enough of them to be worth it.

        Args:
            rows: as `read` returned them.
            files: how many they are.
        """
        shards = sorted(self._folder.glob("[0-9]*.parquet"))  # not what a killed writer left
        kept = self._scan(shards).select(pl.len()).collect().item()
        if kept <= 1.5 * files and len(shards) <= _MOST_SHARDS:
            return
        with write_folder(self._folder.parent) as folder:
            shard = folder / "shard.parquet"
            rows.filter("lasting").sink_parquet(shard)
            shard.rename(folder / _shard_name(0, digest_file(shard)))
            shutil.rmtree(self._folder)  # killed right here, all is read again
            folder.rename(self._folder)

    def _whole_shards(self) -> list[Path]:
        """The shards, but for what the disk has damaged."""
        whole = []
        for shard in sorted(self._folder.glob("[0-9]*.parquet")):
            if shard.name.endswith(_shard_name(0, digest_file(shard))[6:]):
                whole.append(shard)
            else:
                log.warning("%s is damaged; what it held is read again", shard)
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
    """A name that tells whether the shard is whole."""
    return f"{number:06d}-{digest[:16]}.parquet"
