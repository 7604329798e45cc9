"""Index: DICOM headers to tables."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from prefect import task

from lsdc.lumbar import index
from lsdc.lumbar.tables import Split, open_competition
from lsdc.store.files import digest_file, write_folder
from lsdc.store.fingerprint import fingerprint, fingerprint_tree
from lsdc.store.home import SHARDS
from lsdc.store.manifest import Manifest, settle
from tasks.policies import Stage, shared, stage_options
from tasks.run import Run
from tasks.shards import (
    Shard,
    deal,
    require_same,
    settle_shard,
    shard_options,
    shard_processes,
    tell_shard,
    worked,
)

_CODE = ("lsdc.lumbar.index", "lsdc.lumbar.tables")
_LIBRARIES = ("dicomsdl", "numpy", "polars", "pydicom")


def _uses(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    run, split = inputs["run"], inputs["split"]
    listed = run.data / f"{split}_series_descriptions.csv"
    points = run.data / "train_label_coordinates.csv"
    return {
        "data": run.data,
        "listed": digest_file(listed) if listed.is_file() else None,
        "points": digest_file(points) if split == "train" else None,  # which echo is meant
        "files": fingerprint_tree(run.data / f"{split}_images"),
        "limit": run.limit if split == "train" else None,
        "max_bad": run.max_bad,
        "strict": run.strict,
    }


INDEX = Stage("index", _CODE, _LIBRARIES, _uses)
# What is read of the files, each shard has in itself.
INDEX_SHARD = Stage(
    "index shard", _CODE, _LIBRARIES, lambda inputs: {"data": inputs["run"].data}, shared=False
)


@task(**stage_options(INDEX, run_name="index {split}", timeout_hours=6))
@shared(INDEX)
def index_studies(run: Run, split: Split) -> Manifest:
    """Read the header of every listed file of a split."""
    competition = open_competition(run.data)
    listed = index.listed_series(competition, split, run.limit if split == "train" else None)

    def files(studies: Iterable[int]) -> str:
        images = {study: run.data / f"{split}_images" / str(study) for study in studies}
        own = pl.col("study_id").is_in(list(images))
        trees = {str(study): fingerprint_tree(folder) for study, folder in images.items()}
        points = competition.annotations.filter(own).rows() if split == "train" else []
        return fingerprint({"listed": listed.filter(own).rows(), "points": points, "trees": trees})

    shards = deal(run, f"index {split}", INDEX_SHARD, listed["study_id"], files)
    with (
        worked(read_shard, run, shards, split=split) as folders,
        write_folder(run.root / "index") as out,
    ):
        rows = index.join_index(
            folders, competition, split, listed, out, max_bad=run.max_bad, strict=run.strict
        )
        return settle(run.root, "index", out, rows=rows)


@task(**shard_options(INDEX_SHARD))
def read_shard(run: Run, shard: Shard, split: Split) -> Manifest:
    """Read the headers of some studies."""
    require_same(shard, INDEX_SHARD)
    competition = open_competition(run.data)
    listed = competition.series.filter(pl.col("study_id").is_in(shard.studies), split=split)
    with write_folder(run.root / SHARDS) as out:
        rows = index.read_shard(
            competition,
            split,
            listed,
            out,
            processes=shard_processes(run),
            headers=run.home.headers,
            on_progress=tell_shard(shard),
        )
        return settle_shard(run, shard, out, rows=rows)
