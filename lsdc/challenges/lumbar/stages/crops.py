"""Crops: the input of the model, cut once and stored."""

import shutil
from collections.abc import Mapping
from typing import Any

import polars as pl

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.crops import cut as crops
from lsdc.challenges.lumbar.crops.frames import ERRORS, has_frames, without_frames
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.dicom.header_table import LIBRARIES as DICOM_LIBRARIES
from lsdc.dicom_index.listing import Split
from lsdc.dicom_index.quarantine import count_files
from lsdc.store.exact_names import scan_parquet
from lsdc.store.files import write_folder
from lsdc.store.home import SHARDS
from lsdc.store.manifest import Manifest, store_folder
from tasks.shards import (
    SHARD_OPTIONS,
    Shard,
    require_same_versions,
    require_space_for,
    run_shards,
    shard_processes,
    shard_progress,
    split_into_shards,
    store_shard,
)
from tasks.stage import stage

_CODE = ("lsdc.challenges.lumbar.crops.cut", "lsdc.challenges.lumbar.coordinates.moves")
_LIBRARIES = ("numpy", "opencv-python-headless", "polars", *DICOM_LIBRARIES)


def _settings(run: LumbarRun, split: Split) -> tuple[SlicesConfig, CropsConfig]:
    """Return the settings of a split's crops: windows are moved in training studies only."""
    choice, config = run.experiment.slices, run.experiment.crops
    return (choice, config) if split == "train" else without_frames(choice, config)


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    choice, config = _settings(inputs["run"], inputs["split"])
    return {"slices": choice, "config": config}


@stage(
    "crops", code=_CODE, libraries=_LIBRARIES, uses=_uses, run_name="crops {split}", timeout_hours=6
)
def cut_crops(
    run: LumbarRun, split: Split, index: Manifest, coordinates: Manifest, sides: Manifest
) -> Manifest:
    """Choose the slices of every level and crop them into one file, for memory mapping."""
    slices = run.table(sides, "slices")
    shards = split_into_shards(run, f"crops {split}", cut_shard, slices["study_id"])
    choice, config = _settings(run, split)
    require_space_for(run, shards, crops.count_bytes(slices, choice, config))
    given = {"split": split, "index": index, "coordinates": coordinates, "sides": sides}
    with (
        run_shards(cut_shard, run, shards, **given) as folders,
        write_folder(run.root / "crops") as out,
    ):
        images = scan_parquet(index.file(run.root, "instances.parquet")).select("path").collect()
        rows = crops.join_crops(folders, out, files=count_files(images))
        if has_frames(choice, config):
            errors = coordinates.file(run.root, "point_errors.parquet")
            shutil.copyfile(errors, out / ERRORS)
        return store_folder(run.root, "crops", out, rows=rows)


@stage("crops shard", code=_CODE, libraries=_LIBRARIES, uses=_uses, **SHARD_OPTIONS)
def cut_shard(
    run: LumbarRun,
    shard: Shard,
    split: Split,
    index: Manifest,
    coordinates: Manifest,
    sides: Manifest,
) -> Manifest:
    """Cut the crops of a shard of studies."""
    require_same_versions(shard, cut_shard)
    own = pl.col("study_id").is_in(shard.names)
    instances = scan_parquet(index.file(run.root, "instances.parquet")).filter(own).collect()
    moves = run.table(coordinates, "moves")
    choice, config = _settings(run, split)
    with write_folder(run.root / SHARDS) as out:
        rows = crops.cut_shard(
            moved_back(instances, moves),
            run.table(sides, "slices").filter(own),
            choice,
            config,
            out,
            landmarks=run.table(coordinates, "landmarks"),
            processes=shard_processes(run),
            on_progress=shard_progress(shard),
        )
        return store_shard(run, shard, out, rows=rows)
