"""Crops: what the model is shown, cut once."""

from dataclasses import replace

import polars as pl
from prefect import task

from lsdc.lumbar import crops
from lsdc.lumbar.tables import Split
from lsdc.store.files import write_folder
from lsdc.store.home import require_space
from lsdc.store.manifest import Manifest, settle
from tasks.policies import Stage, shared, stage_options
from tasks.run import Run
from tasks.shards import (
    Shard,
    deal,
    settle_shard,
    shard_options,
    shard_processes,
    tell_shard,
    worked,
)

CROPS = Stage(
    name="crops",
    code=("lsdc.lumbar.crops",),
    libraries=("dicomsdl", "numpy", "opencv-python-headless", "polars", "pydicom"),
    uses=lambda inputs: {
        "slices": inputs["run"].experiment.slices,
        "config": inputs["run"].experiment.crops,
        "max_bad": inputs["run"].max_bad,
    },
)
CROPS_SHARD = replace(CROPS, name="crops shard")


@task(**stage_options(CROPS, run_name="crops {split}", timeout_hours=6, retries=1))
@shared(CROPS)
def cut_crops(
    run: Run, split: Split, index: Manifest, coordinates: Manifest, sides: Manifest
) -> Manifest:
    """Choose the slices of every level and cut them into one memory map."""
    slices = pl.read_parquet(sides.file(run.root, "slices.parquet"))
    choice, config = run.experiment.slices, run.experiment.crops
    shards = deal(run, slices["study_id"])
    size = crops.count_bytes(slices, choice, config)
    require_space(run.home, size + size // len(shards), what=f"crops {split}")
    given = {"split": split, "index": index, "coordinates": coordinates, "sides": sides}
    with (
        worked(cut_shard, run, f"crops {split}", shards, **given) as folders,
        write_folder(run.root / "crops") as out,
    ):
        rows = crops.join_crops(folders, out, files=index.rows, max_bad=run.max_bad)
        return settle(run.root, "crops", out, rows=rows)


@task(**shard_options(CROPS_SHARD, run_name="crops {split} {shard}"))
def cut_shard(
    run: Run, shard: Shard, split: Split, index: Manifest, coordinates: Manifest, sides: Manifest
) -> Manifest:
    """Cut the crops of some studies."""
    own = pl.col("study_id").is_in(shard.studies)
    with write_folder(run.root / "shards") as out:
        rows = crops.cut_shard(
            pl.read_parquet(index.file(run.root, "instances.parquet")).filter(own),
            pl.read_parquet(sides.file(run.root, "slices.parquet")).filter(own),
            run.experiment.slices,
            run.experiment.crops,
            out,
            landmarks=pl.read_parquet(coordinates.file(run.root, "landmarks.parquet")),
            processes=shard_processes(run),
            on_progress=tell_shard(f"crops {split}", shard),
        )
        return settle_shard(run, out, rows=rows)
