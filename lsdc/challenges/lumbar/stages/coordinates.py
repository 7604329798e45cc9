"""Coordinates: the level points, predicted out of fold."""

import logging
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.coordinates import learn as coordinates
from lsdc.challenges.lumbar.coordinates.annotated import take_annotated
from lsdc.challenges.lumbar.coordinates.moves import describe_moves
from lsdc.challenges.lumbar.coordinates.spines import describe_disputes
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.dicom.header_table import LIBRARIES as DICOM_LIBRARIES
from lsdc.dicom_index.quarantine import Quarantine, count_files, log_bad_files
from lsdc.messages import counted, few
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, store_folder
from lsdc.store.table_files import write_table
from tasks.progress import event_callback
from tasks.stage import stage

log = logging.getLogger("lsdc.coordinates")

_CODE = ("lsdc.challenges.lumbar.coordinates.learn",)
_LIBRARIES = ("numpy", "opencv-python-headless", "polars", "torch", *DICOM_LIBRARIES)


@stage(
    "coordinates",
    code=("lsdc.challenges.lumbar.coordinates.annotated", *_CODE),
    libraries=_LIBRARIES,
    uses=lambda inputs: {
        "config": inputs["run"].experiment.coordinates,
        "seed": inputs["run"].seed,
    },
    run_name="coordinates train",
    timeout_hours=12,
    retries=2,
)
def learn_coordinates(
    run: LumbarRun, index: Manifest, folds: Manifest, annotations: Manifest
) -> Manifest:
    """Train one model per fold, and place every training study's level points out of fold."""
    with write_folder(run.root / "coordinates") as out:
        instances = run.table(index, "instances")
        given = run.table(annotations, "annotations")
        quarantine = coordinates.learn_points(
            instances=instances,
            annotations=given,
            folds=run.table(folds, "folds"),
            config=run.experiment.coordinates,
            out=out,
            seed=run.seed,
            device=run.device,
            threads=run.threads,
            processes=run.threads,
            log=run.home.logs / "children.log",
            on_event=event_callback("coordinates train"),
        )
        if run.experiment.coordinates.source == "annotated":
            held_out = run.table(folds, "holdout")["study_id"]
            take_annotated(instances, given, out, but_for=held_out.unique().to_list())
        return _store_points(run, out, instances, quarantine)


@stage(
    "coordinates",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=lambda _: {"test": True},
    run_name="coordinates test",
    timeout_hours=12,
    retries=2,
)
def locate_test(run: LumbarRun, index: Manifest, coordinates_train: Manifest) -> Manifest:
    """Place the test studies' level points: the median over the models, in mm."""
    with write_folder(run.root / "coordinates") as out:
        instances = run.table(index, "instances")
        quarantine = coordinates.locate_points(
            instances=instances,
            models=coordinates_train.folder(run.root),
            out=out,
            device=run.device,
            threads=run.threads,
            processes=run.threads,
            log=run.home.logs / "children.log",
            on_event=event_callback("coordinates test"),
        )
        return _store_points(run, out, instances, quarantine)


def _store_points(
    run: LumbarRun, out: Path, instances: pl.DataFrame, quarantine: pl.DataFrame
) -> Manifest:
    log_bad_files("coordinates", quarantine, total=count_files(instances))
    write_table(Quarantine, quarantine, out / "quarantine.parquet")
    points = read_parquet(out / "points.parquet")
    _warn_of_lost(run, instances["study_id"].unique().sort(), points)
    _warn_of_guessed(run, points)
    moves = read_parquet(out / "moves.parquet")
    spell = open_competition(run.data).spell
    if len(moves):
        log.warning("coordinates: %s", describe_moves(moves, spell))
    if disputes := describe_disputes(read_parquet(out / "spines.parquet"), spell):
        log.warning("coordinates: %s", disputes)
    return store_folder(run.root, "coordinates", out, rows=len(points))


def _warn_of_guessed(run: LumbarRun, points: pl.DataFrame) -> None:
    seen = pl.col("source") != "filled"
    guessed = points.group_by("study_id").agg(seen.any()).filter(~pl.col("source"))["study_id"]
    if len(guessed):
        log.warning(
            "coordinates: no level is detected in %d of %s; they get the typical positions of "
            "the training studies: %s",
            len(guessed),
            counted(points["study_id"].n_unique(), "study"),
            few(list(map(open_competition(run.data).spell, guessed.sort()))),
        )


def _warn_of_lost(run: LumbarRun, studies: pl.Series, points: pl.DataFrame) -> None:
    lost = studies.filter(~studies.is_in(points["study_id"].implode())).to_list()
    if lost:
        log.warning(
            "coordinates: no level is found in %d of %s, so they have no samples: %s",
            len(lost),
            counted(len(studies), "study"),
            few(list(map(open_competition(run.data).spell, lost))),
        )
