"""Crops: the input of the model, cut once and stored."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.crops import cut as crops
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.dicom.header_table import LIBRARIES as DICOM_LIBRARIES
from lsdc.dicom_index.listing import Split
from lsdc.dicom_index.quarantine import count_files
from lsdc.store.exact_names import scan_parquet
from lsdc.store.files import write_folder
from lsdc.store.home import SHARDS, require_space
from lsdc.store.manifest import Manifest, store_folder
from tasks.shards import (
    SHARD_OPTIONS,
    Shard,
    require_same_versions,
    run_shards,
    shard_processes,
    shard_progress,
    shards_of,
    split_into_shards,
    store_shard,
)
from tasks.stage import stage

_CODE = ("lsdc.challenges.lumbar.crops.cut", "lsdc.challenges.lumbar.coordinates.moves")
_LIBRARIES = ("numpy", "opencv-python-headless", "polars", *DICOM_LIBRARIES)


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    experiment = inputs["run"].experiment
    return {"slices": experiment.slices, "config": experiment.crops}


@stage(
    "crops", code=_CODE, libraries=_LIBRARIES, uses=_uses, run_name="crops {split}", timeout_hours=6
)
def cut_crops(
    run: LumbarRun, split: Split, index: Manifest, coordinates: Manifest, sides: Manifest
) -> Manifest:
    """Choose the slices of every level and crop them into one file, for memory mapping."""
    slices = run.table(sides, "slices")
    shards = split_into_shards(run, f"crops {split}", cut_shard, slices["study_id"])
    _require_space(run, shards, slices)
    given = {"index": index, "coordinates": coordinates, "sides": sides}
    with (
        run_shards(cut_shard, run, shards, **given) as folders,
        write_folder(run.root / "crops") as out,
    ):
        images = scan_parquet(index.file(run.root, "instances.parquet")).select("path").collect()
        rows = crops.join_crops(folders, out, files=count_files(images))
        return store_folder(run.root, "crops", out, rows=rows)


@stage("crops shard", code=_CODE, libraries=_LIBRARIES, uses=_uses, **SHARD_OPTIONS)
def cut_shard(
    run: LumbarRun, shard: Shard, index: Manifest, coordinates: Manifest, sides: Manifest
) -> Manifest:
    """Cut the crops of a shard of studies."""
    require_same_versions(shard, cut_shard)
    own = pl.col("study_id").is_in(shard.studies)
    instances = scan_parquet(index.file(run.root, "instances.parquet")).filter(own).collect()
    moves = run.table(coordinates, "moves")
    with write_folder(run.root / SHARDS) as out:
        rows = crops.cut_shard(
            moved_back(instances, moves),
            run.table(sides, "slices").filter(own),
            run.experiment.slices,
            run.experiment.crops,
            out,
            landmarks=run.table(coordinates, "landmarks"),
            processes=shard_processes(run),
            on_progress=shard_progress(shard),
        )
        return store_shard(run, shard, out, rows=rows)


def _require_space(run: LumbarRun, shards: list[Shard], slices: pl.DataFrame) -> None:
    """Require disk space for all crops, plus one shard, of which joining makes a copy."""
    size = crops.count_bytes(slices, run.experiment.slices, run.experiment.crops)
    if len(shards) > 1:
        size += size // len(shards)
    stage = shards[0].stage
    made = [file for folder in shards_of(run, stage) for file in folder.glob("crops.npy")]
    require_space(run.home, size - sum(file.stat().st_size for file in made), what=stage)
