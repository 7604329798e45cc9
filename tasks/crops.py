"""Crops: what the model is shown, cut once."""

import polars as pl
from prefect import task

from lsdc.lumbar import crops
from lsdc.lumbar.tables import Split
from lsdc.store.files import write_folder
from lsdc.store.home import require_space
from lsdc.store.manifest import Manifest, settle
from tasks.policies import Stage, shared, stage_options
from tasks.progress import tell_steps
from tasks.run import Run

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


@task(**stage_options(CROPS, run_name="crops {split}", timeout_hours=6, retries=3))
@shared(CROPS)
def cut_crops(
    run: Run, split: Split, index: Manifest, coordinates: Manifest, sides: Manifest
) -> Manifest:
    """Choose the slices of every level and cut them into one memory map."""
    slices = pl.read_parquet(sides.file(run.root, "slices.parquet"))
    choice, config = run.experiment.slices, run.experiment.crops
    require_space(run.home, crops.count_bytes(slices, choice, config), what=f"crops {split}")
    with write_folder(run.root / "crops") as out:
        rows = crops.cut_crops(
            pl.read_parquet(index.file(run.root, "instances.parquet")),
            slices,
            choice,
            config,
            out,
            landmarks=pl.read_parquet(coordinates.file(run.root, "landmarks.parquet")),
            processes=run.threads,
            max_bad=run.max_bad,
            on_progress=tell_steps(f"crops {split}"),
        )
        return settle(run.root, "crops", out, rows=rows)
