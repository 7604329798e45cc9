"""Index: read DICOM headers into tables."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.dicom.header_table import LIBRARIES as DICOM_LIBRARIES
from lsdc.dicom_index import index
from lsdc.dicom_index.layout import layout_of
from lsdc.dicom_index.listing import Split
from lsdc.store.files import write_folder
from lsdc.store.fingerprint import fingerprint, fingerprint_tree
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

_CODE = ("lsdc.dicom_index.index", "lsdc.challenges.lumbar.competition.tables")
_LIBRARIES = ("numpy", "polars", *DICOM_LIBRARIES)


def _uses(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    run, split = inputs["run"], inputs["split"]
    competition, limit = open_competition(run.data), run.limit if split == "train" else None
    listed = index.listed_series(competition, split, limit)
    return {
        "data": run.data,
        "listed": listed.rows(),
        "points": _points(competition, split, listed["study_id"]),
        "files": _fingerprints(competition, split, listed["study_id"]),
    }


def _points(
    competition: Competition, split: Split, studies: Iterable[int]
) -> list[tuple[Any, ...]]:
    """Return the annotations of studies, which decide between several echoes."""
    if split == "test":
        return []
    return competition.annotations.filter(pl.col("study_id").is_in(list(studies))).rows()


def _fingerprints(
    competition: Competition, split: Split, studies: Iterable[int]
) -> dict[str, dict[str, str]]:
    """Return the fingerprints of the studies' folders."""
    folders = layout_of(competition).study_folders(split, set(studies))
    return {
        str(study): {str(folder): fingerprint_tree(folder) for folder in own}
        for study, own in folders.items()
    }


@stage(
    "index",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="index {split}",
    timeout_hours=6,
)
def index_studies(run: LumbarRun, split: Split, other_split: Manifest | None = None) -> Manifest:
    """Index the headers of a split's listed files; also find twins in the other split's index."""
    competition = open_competition(run.data)
    listed = index.listed_series(competition, split, run.limit if split == "train" else None)

    def files(studies: Iterable[int]) -> str:
        own = list(studies)
        return fingerprint(
            {
                "listed": listed.filter(pl.col("study_id").is_in(own)).rows(),
                "points": _points(competition, split, own),
                "trees": _fingerprints(competition, split, own),
            }
        )

    shards = split_into_shards(run, f"index {split}", read_shard, listed["study_id"], files)
    with (
        run_shards(read_shard, run, shards, split=split) as folders,
        write_folder(run.root / "index") as out,
    ):
        rows = index.join_index(
            folders,
            competition,
            split,
            listed,
            out,
            other_split=None if other_split is None else other_split.folder(run.root),
            processes=run.threads,
        )
        return store_folder(run.root, "index", out, rows=rows)


def require_usable(run: LumbarRun, split: Split, indexed: Manifest) -> None:
    """Stop if too much of an index is unusable; its tables are kept for inspection."""
    index.require_usable(
        indexed.folder(run.root),
        open_competition(run.data),
        split,
        max_bad=run.max_bad,
        strict=run.strict,
    )


@stage(
    "index shard",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda inputs: {"data": inputs["run"].data},  # each shard fingerprints the files it reads
    **SHARD_OPTIONS,
)
def read_shard(run: LumbarRun, shard: Shard, split: Split) -> Manifest:
    """Read the headers of a shard of studies."""
    require_same_versions(shard, read_shard)
    competition = open_competition(run.data)
    listed = competition.series.filter(pl.col("study_id").is_in(shard.names), split=split)
    with write_folder(run.root / SHARDS) as out:
        rows = index.read_shard(
            competition,
            split,
            listed,
            out,
            processes=shard_processes(run),
            headers=run.home.headers,
            on_progress=shard_progress(shard),
        )
        return store_shard(run, shard, out, rows=rows)
