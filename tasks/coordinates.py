"""Coordinates: the point of each level, learnt without seeing the study's own fold."""

from pathlib import Path

import polars as pl
from prefect import task

from lsdc.lumbar import coordinates
from lsdc.lumbar.tables import open_competition
from lsdc.store.files import digest_file, write_folder
from lsdc.store.manifest import Manifest, settle
from tasks.policies import Stage, stage_options
from tasks.progress import tell_line
from tasks.run import Run

_CODE = ("lsdc.lumbar.coordinates", "lsdc.lumbar.tables")
_LIBRARIES = ("dicomsdl", "numpy", "pydicom", "torch")

COORDINATES = Stage(
    name="coordinates",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda inputs: {
        "annotations": digest_file(inputs["run"].data / "train_label_coordinates.csv"),
        "config": inputs["run"].experiment.coordinates,
        "seed": inputs["run"].seed,
        "max_bad": inputs["run"].max_bad,
    },
)
LOCATE = Stage(
    name="coordinates",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda inputs: {"test": True, "max_bad": inputs["run"].max_bad},
)


@task(**stage_options(COORDINATES, run_name="coordinates train", timeout_hours=12, retries=2))
def learn_coordinates(run: Run, index: Manifest, folds: Manifest) -> Manifest:
    """Train a model a fold and place every training study's level points out of fold."""
    with write_folder(run.root / "coordinates") as out:
        coordinates.learn_points(
            instances=pl.read_parquet(index.file(run.root, "instances.parquet")),
            annotations=open_competition(run.data).annotations,
            folds=pl.read_parquet(folds.file(run.root, "folds.parquet")),
            config=run.experiment.coordinates,
            out=out,
            seed=run.seed,
            device=run.device,
            threads=run.threads,
            processes=run.threads,
            on_progress=tell_line("coordinates train"),
        )
        return settle(run.root, "coordinates", out, rows=count_rows(out / "points.parquet"))


@task(**stage_options(LOCATE, run_name="coordinates test", timeout_hours=12, retries=2))
def locate_test(run: Run, index: Manifest, coordinates_train: Manifest) -> Manifest:
    """Place the test studies' level points: the median over the models, in mm."""
    with write_folder(run.root / "coordinates") as out:
        coordinates.locate_points(
            instances=pl.read_parquet(index.file(run.root, "instances.parquet")),
            models=coordinates_train.folder(run.root),
            out=out,
            device=run.device,
            threads=run.threads,
            processes=run.threads,
            on_progress=tell_line("coordinates test"),
        )
        return settle(run.root, "coordinates", out, rows=count_rows(out / "points.parquet"))


def count_rows(table: Path) -> int:
    """Rows of a Parquet file."""
    return int(pl.scan_parquet(table).select(pl.len()).collect().item())
