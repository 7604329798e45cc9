"""Index: read the DICOM headers of both splits into tables."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import polars as pl

from lsdc.challenges.hemorrhage.competition.tables import stage_of
from lsdc.challenges.hemorrhage.index import build
from lsdc.challenges.hemorrhage.index.folders import find_folders, list_files
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.dicom.header_table import LIBRARIES as DICOM_LIBRARIES
from lsdc.store.exact_names import scan_parquet
from lsdc.store.files import write_atomic, write_folder
from lsdc.store.home import SHARDS
from lsdc.store.manifest import Manifest, store_folder
from tasks.shards import (
    SHARD_OPTIONS,
    Shard,
    require_same_versions,
    run_shards,
    shard_processes,
    shard_progress,
    split_into_shards,
    store_shard,
)
from tasks.stage import stage

_CODE = ("lsdc.challenges.hemorrhage.index.build",)
_LIBRARIES = ("numpy", "polars", *DICOM_LIBRARIES)
LISTING = "files-of-index.parquet"  # beside the shards, while they are made


def _files(run: HemorrhageRun) -> pl.DataFrame:
    """Return the files of the folders of images, each with the unit of its shard."""
    listed = list_files(find_folders(run.data, stage_of(run.data)))
    return listed.with_columns(
        unit=pl.format("{} {}", "split", pl.col("part").cast(pl.String).str.zfill(6))
    )


def _uses(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    run: HemorrhageRun = inputs["run"]
    return {"data": run.data, "files": _digest(_files(run))}


def _digest(files: pl.DataFrame) -> str:
    """Return a fingerprint of the files' names, sizes and times."""
    rows = files.select("path", "bytes", "mtime_ns").sort("path")
    return blake2b(rows.write_csv().encode(), digest_size=16).hexdigest()


@stage("index", code=_CODE, libraries=_LIBRARIES, uses=_uses, run_name="index", timeout_hours=12)
def index_images(run: HemorrhageRun) -> Manifest:
    """Index the headers of all files of both splits."""
    listed = _files(run)

    def files(units: Iterable[str]) -> str:
        return _digest(listed.filter(pl.col("unit").is_in(list(units))))

    shards = split_into_shards(run, "index", read_shard, listed["unit"], files)
    # Listed once: a large folder takes longer to list than a shard to read.
    listing = run.root / SHARDS / LISTING
    with write_atomic(listing) as temporary:
        listed.write_parquet(temporary)
    with (
        run_shards(read_shard, run, shards) as folders,
        write_folder(run.root / "index") as out,
    ):
        rows = build.join_index(folders, out)
        listing.unlink()
        return store_folder(run.root, "index", out, rows=rows)


@stage(
    "index shard",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda inputs: {"data": inputs["run"].data},  # each shard fingerprints the files it reads
    **SHARD_OPTIONS,
)
def read_shard(run: HemorrhageRun, shard: Shard) -> Manifest:
    """Read the headers of a shard of the files."""
    require_same_versions(shard, read_shard)
    listed = scan_parquet(run.root / SHARDS / LISTING)
    own = listed.filter(pl.col("unit").is_in(shard.names)).drop("unit").collect()
    with write_folder(run.root / SHARDS) as out:
        rows = build.read_shard(
            own,
            out,
            root=run.data,
            processes=shard_processes(run),
            headers=run.home.headers,
            on_progress=shard_progress(shard),
        )
        return store_shard(run, shard, out, rows=rows)


def require_usable(run: HemorrhageRun, indexed: Manifest) -> None:
    """Stop if too much of an index is unusable; its tables are kept for inspection."""
    build.require_usable(indexed.folder(run.root), max_bad=run.max_bad, strict=run.strict)
