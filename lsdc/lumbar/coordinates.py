"""Coordinates: the 3-D point of each level of each study, learnt from annotated canal points.

A small net a fold finds the levels on every sagittal series, T1 and T2 alike; a study's series are
fused in patient space. A training study's points come from the net that did not train on its fold,
a test study's are the median over all nets. Torch runs in a child process (`lsdc.lumbar.locate`).

The points table has a row a study and level: split, study_id, level, x_mm, y_mm, z_mm, confidence
in (0, 1], and source: "predicted", "annotated", or "filled" from other points. A study without a
sagittal series, or on whose images nothing is found, has no rows.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import safe_open

from lsdc.errors import DataError
from lsdc.experiments.config import CoordinatesConfig
from lsdc.lumbar.landmarks import (
    annotated_landmarks,
    sorted_landmarks,
    typical_landmarks,
    with_slices,
)
from lsdc.lumbar.level_points import (
    Floats,
    complete_levels,
    fuse_views,
    known_points,
    median_of_models,
    trusted_levels,
)
from lsdc.lumbar.midline import centre_on_midline
from lsdc.lumbar.places import place_annotations
from lsdc.lumbar.sagittal import SagittalSeries, prepare_sagittal
from lsdc.lumbar.vocabulary import LEVELS
from lsdc.store.files import write_atomic, write_folder
from lsdc.training.process import run_child

Progress = Callable[[dict[str, Any]], None]

STALL_MINUTES = 15.0
POINTS = {
    "split": pl.String,
    "study_id": pl.Int64,
    "level": pl.String,
    "x_mm": pl.Float64,
    "y_mm": pl.Float64,
    "z_mm": pl.Float64,
    "confidence": pl.Float64,
    "source": pl.String,
}


def learn_points(
    *,
    instances: pl.DataFrame,
    annotations: pl.DataFrame,
    folds: pl.DataFrame,
    config: CoordinatesConfig,
    out: Path,
    seed: int,
    device: str,
    threads: int,
    processes: int,
    log: Path,
    on_progress: Progress,
) -> pl.DataFrame:
    """Train one model a fold and find the level points of all training studies.

    Writes `points.parquet` and one `fold-K.safetensors` a fold into the folder `out`. A study of
    fold K gets its points from the model of fold K, which saw nothing of that fold; a study in no
    fold is not trained on, and gets the median over all models. Order and augmentation depend on
    `seed` alone; the result is the same to the bit for one number of `threads` on one CPU type.

    `on_progress` is told lines with "stage" and either "read" of "files", or "fold", "epoch" of
    "epochs" and "seconds_left", or "without_points": the studies that got no rows.

    Returns: quarantine rows (path, stage, reason) of the files that gave no pixels.

    Raises:
        DataError: a fold leaves no annotated study to learn from.
        StageError: the child process died.
    """
    train = instances.filter(pl.col("split") == "train")
    with write_folder(out) as work:
        series = _prepare(train, work, config.image_size, config.field_mm, processes, on_progress)
        targets = _targets(series, place_annotations(train, annotations))
        fold_of = dict(folds.select("study_id", "fold").iter_rows())
        owners = np.array([fold_of.get(study, -1) for study in series.study_ids.tolist()], np.int64)
        names = sorted(set(fold_of.values()))
        _refuse_untaught(targets, owners, names)
        np.savez(work / "teaching.npz", targets_mm=targets, folds=owners)
        grid = {"image_size": config.image_size, "field_mm": config.field_mm}
        job = {
            "train": config.model_dump(exclude={"source", *grid}),
            "metadata": grid,
            "folds": names,
            "models": str(out),
            "seed": seed,
        }
        found = _run(job, work, log, device, threads, on_progress)
    _write_points("train", train, series, found, out, on_progress)
    return _quarantine(series)


def locate_points(
    *,
    instances: pl.DataFrame,
    models: Path,
    out: Path,
    device: str,
    threads: int,
    processes: int,
    log: Path,
    on_progress: Progress,
) -> pl.DataFrame:
    """Find the level points of all test studies: the median over the models, in mm.

    Writes `points.parquet` into the folder `out`; the confidence falls where models disagree.

    Args:
        instances: the instances table; rows of the training split are left alone.
        models: the folder that `learn_points` wrote.
        out: the folder of the result.
        device: "cpu" or "cuda".
        threads: torch's threads.
        processes: how many read pixels.
        log: file that the child's words are appended to.
        on_progress: as for `learn_points`.

    Returns: quarantine rows (path, stage, reason) of the files that gave no pixels.

    Raises:
        DataError: no model in `models`.
        StageError: the child process died.
    """
    files = sorted(models.glob("fold-*.safetensors"))
    if not files:
        raise DataError(
            f"{models}: no fold-K.safetensors, expected the models of the coordinates stage; "
            "run that stage on the training studies first"
        )
    with safe_open(files[0], framework="np") as model:
        trained = json.loads(model.metadata()["net"])
    test = instances.filter(pl.col("split") == "test")
    with write_folder(out) as work:
        series = _prepare(
            test,
            work,
            trained["image_size"],
            trained["field_mm"],
            processes,
            on_progress,
        )
        job = {"models": [str(file) for file in files]}
        found = _run(job, work, log, device, threads, on_progress)
    _write_points("test", test, series, found, out, on_progress)
    return _quarantine(series)


def annotated_points(instances: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """The points table as the annotations have it, without a model.

    A canal point is centred on the midline. A level without one takes the middle of its foraminal
    or subarticular points, or is filled from other levels; its source is then "filled".
    """
    places = centre_on_midline(place_annotations(instances, annotations), instances)
    split_of = dict(places.select("study_id", "split").iter_rows())
    rows: list[tuple[Any, ...]] = []
    for study, points, from_canal in zip(*known_points(places), strict=True):
        completed = complete_levels(points, np.isfinite(points).all(axis=1).astype(np.float64))
        if completed is not None:
            points, trust, filled = completed
            sources = np.where(from_canal & ~filled, "annotated", "filled")
            rows += _rows(split_of[study], study, points, trust, sources)
    return pl.DataFrame(rows, schema=POINTS, orient="row")


def write_annotated(instances: pl.DataFrame, annotations: pl.DataFrame, out: Path) -> None:
    """Write the points and the landmarks table as the annotations have them into `out`."""
    points = annotated_points(instances, annotations)
    _write_tables(out, points=points, landmarks=annotated_landmarks(points, instances, annotations))


def _prepare(
    instances: pl.DataFrame,
    work: Path,
    size: int,
    field_mm: float,
    processes: int,
    on_progress: Progress,
) -> SagittalSeries:
    """Write images and planes for the child into `work`."""
    series = prepare_sagittal(
        instances,
        work / "images.npy",
        size=size,
        field_mm=field_mm,
        processes=processes,
        on_progress=lambda read, files: on_progress(
            {"stage": "coordinates", "read": read, "files": files}
        ),
    )
    np.savez(
        work / "stacks.npz",
        planes_mm=series.planes_mm,
        starts=series.starts,
        keys=series.series_ids,
    )
    return series


def _targets(series: SagittalSeries, places: pl.DataFrame) -> Floats:
    """(series, levels, 3) what each series' study is taught; points out of order are not."""
    studies, known, _ = known_points(places)
    taught: dict[int, Floats] = {}
    for study, points in zip(studies, known, strict=True):
        trusted = trusted_levels(points, np.isfinite(points).all(axis=1).astype(np.float64))
        taught[study] = np.full_like(points, np.nan)
        taught[study][trusted] = points[trusted]
    nothing = np.full((len(LEVELS), 3), np.nan)
    targets = [taught.get(study, nothing) for study in series.study_ids.tolist()]
    return np.array(targets).reshape(-1, len(LEVELS), 3)


def _refuse_untaught(targets: Floats, owners: NDArray[np.int64], folds: list[int]) -> None:
    taught = set(owners[np.isfinite(targets).any(axis=(1, 2)) & (owners >= 0)].tolist())
    for fold in folds:
        if not taught - {fold}:
            raise DataError(
                f"coordinates, fold {fold}: no study outside the fold has both a readable sagittal "
                "series and annotated level points, expected at least one to learn from; annotate "
                "more studies or use fewer folds"
            )


def _run(
    job: Mapping[str, Any],
    work: Path,
    log: Path,
    device: str,
    threads: int,
    on_progress: Progress,
) -> tuple[Floats, Floats]:
    """What each model found on each series; NaN where a model was not asked.

    Returns: points (models, series, levels, 3) in mm and confidences (models, series, levels).
    """
    run_child(
        "lsdc.lumbar.locate",
        {**job, "work": str(work), "device": device, "threads": threads},
        log=log,
        stall_minutes=STALL_MINUTES,
        on_line=on_progress,
    )
    with np.load(work / "found.npz") as found:
        return found["points_mm"], found["confidence"]


def _write_points(
    split: str,
    instances: pl.DataFrame,
    series: SagittalSeries,
    found: tuple[Floats, Floats],
    out: Path,
    on_progress: Progress,
) -> None:
    rows: list[tuple[Any, ...]] = []
    for study in np.unique(series.study_ids).tolist():
        own = series.study_ids == study
        completed = complete_levels(*_fuse(*(each[:, own] for each in found)))
        if completed is not None:
            points, trust, filled = completed
            rows += _rows(split, study, points, trust, np.where(filled, "filled", "predicted"))
    table = pl.DataFrame(rows, schema=POINTS, orient="row")
    landmarks = sorted_landmarks(with_slices(typical_landmarks(table), instances))
    _write_tables(out, points=table, landmarks=landmarks)
    without = set(instances["study_id"].to_list()) - set(table["study_id"].to_list())
    if without:
        on_progress({"stage": "coordinates", "without_points": sorted(without)})


def _write_tables(out: Path, **tables: pl.DataFrame) -> None:
    for name, table in tables.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)


def _fuse(points_mm: Floats, confidence: Floats) -> tuple[Floats, Floats]:
    """One study's points from the models that were asked: (models, series, levels, ...) each."""
    asked = np.isfinite(confidence[:, 0, 0])
    views = [fuse_views(*each) for each in zip(points_mm[asked], confidence[asked], strict=True)]
    return median_of_models(*(np.stack(each) for each in zip(*views, strict=True)))


def _rows(
    split: str, study: int, points_mm: Floats, trust: Floats, sources: NDArray[np.str_]
) -> list[tuple[Any, ...]]:
    return [
        (split, study, str(level), *place, confidence, source)
        for level, place, confidence, source in zip(
            LEVELS, points_mm.tolist(), trust.tolist(), sources.tolist(), strict=True
        )
    ]


def _quarantine(series: SagittalSeries) -> pl.DataFrame:
    return pl.DataFrame(
        [(path, "coordinates", reason) for path, reason in series.unreadable],
        schema={"path": pl.String, "stage": pl.String, "reason": pl.String},
        orient="row",
    )
