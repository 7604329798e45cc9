"""Sides: left and right by world position."""

import polars as pl
from prefect import task

from lsdc.lumbar.sides import find_sides
from lsdc.lumbar.tables import Split, open_competition
from lsdc.store.files import digest_file, write_folder
from lsdc.store.manifest import Manifest, settle
from tasks.policies import Stage, stage_options
from tasks.run import Run

SIDES = Stage(
    name="sides",
    code=("lsdc.lumbar.sides", "lsdc.lumbar.tables"),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {
        "annotations": digest_file(inputs["run"].data / "train_label_coordinates.csv")
    },
)


@task(**stage_options(SIDES, run_name="sides {split}", timeout_hours=1))
def fix_sides(run: Run, split: Split, index: Manifest, coordinates: Manifest) -> Manifest:
    """Place every slice against every level point of its study."""
    with write_folder(run.root / "sides") as out:
        rows = find_sides(
            pl.read_parquet(index.file(run.root, "instances.parquet")),
            pl.read_parquet(coordinates.file(run.root, "points.parquet")),
            open_competition(run.data).annotations if split == "train" else None,
            out,
        )
        return settle(run.root, "sides", out, rows=rows)
