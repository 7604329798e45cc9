"""Slices: what the models see of each image, prepared once and stored for memory mapping."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.slices import prepare
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

_CODE = ("lsdc.challenges.hemorrhage.slices.prepare",)
_LIBRARIES = ("numpy", "opencv-python-headless", "polars", *DICOM_LIBRARIES)


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"slices": inputs["run"].experiment.slices}


def _images(run: HemorrhageRun, split: Split, index: Manifest) -> pl.LazyFrame:
    return scan_parquet(index.file(run.root, "images.parquet")).filter(split=split)


@stage(
    "slices",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="slices {split}",
    timeout_hours=48,
)
def prepare_slices(
    run: HemorrhageRun, split: Split, index: Manifest, studies: Sequence[str] | None = None
) -> Manifest:
    """Decode, convert, window and resize the images of a split, or of some studies, into a file."""
    images = _images(run, split, index).select("study_id", "path").collect()
    if studies is not None:
        images = images.filter(pl.col("study_id").is_in(list(studies)))
    shards = split_into_shards(run, f"slices {split}", prepare_shard, images["study_id"])
    require_space_for(run, shards, prepare.count_bytes(images, run.experiment.slices))
    with (
        run_shards(prepare_shard, run, shards, split=split, index=index) as folders,
        write_folder(run.root / "slices") as out,
    ):
        rows = prepare.join_shards(folders, out, files=count_files(images))
        return store_folder(run.root, "slices", out, rows=rows)


@stage("slices shard", code=_CODE, libraries=_LIBRARIES, uses=_uses, **SHARD_OPTIONS)
def prepare_shard(run: HemorrhageRun, shard: Shard, split: Split, index: Manifest) -> Manifest:
    """Prepare the slices of a shard of studies."""
    require_same_versions(shard, prepare_shard)
    own = pl.col("study_id").is_in(shard.names)
    images = _images(run, split, index).filter(own).collect()
    with write_folder(run.root / SHARDS) as out:
        rows = prepare.prepare_shard(
            images,
            run.experiment.slices,
            out,
            processes=shard_processes(run),
            on_progress=shard_progress(shard),
        )
        return store_shard(run, shard, out, rows=rows)
