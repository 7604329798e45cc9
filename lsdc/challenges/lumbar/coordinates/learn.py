"""Coordinates: positions of each study's levels and landmarks, learnt from annotated points.

Two small nets per fold, one for sagittal views (T1 and T2 alike) and one for axial views, find
canal points and the points beside them. A study's views are joined in patient space
(`coordinates.level_assignment`), so that one fills the gaps of another. A training study's points
come from the nets that did not train on its fold, a test study's are the median over all folds'
nets. Torch runs in a child process (`coordinates.child`); `coordinates.point_tables` describes the
tables.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import safe_open

from lsdc.challenges.lumbar.annotations.midline import centre_on_midline
from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.coordinates.errors import PointErrors, measure_errors
from lsdc.challenges.lumbar.coordinates.jobs import LearnJob, LocateJob, PredictPointsJob
from lsdc.challenges.lumbar.coordinates.keypoint_targets import (
    FAMILIES,
    POINTS_OF_NET,
    training_targets,
)
from lsdc.challenges.lumbar.coordinates.moves import annotated_moves, moved_back
from lsdc.challenges.lumbar.coordinates.point_tables import (
    Found,
    ModelPoints,
    points_by_model,
    write_found,
)
from lsdc.challenges.lumbar.coordinates.typical import typical_offsets
from lsdc.challenges.lumbar.coordinates.views import Views, prepare_views
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_folder, write_text
from lsdc.store.table_files import write_table
from lsdc.training.events import FilesRead
from lsdc.training.process import OnEvent, run_children

STALL_MINUTES = 15.0
_SERIES = ["study_id", "series_id"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
USUAL = "usual.json"


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
    on_event: OnEvent,
) -> pl.DataFrame:
    """Train the nets of each fold and find the points of all training studies.

    Writes `points.parquet`, `landmarks.parquet`, `spines.parquet`, `moves.parquet`,
    `point_errors.parquet`, `usual.json` (the usual `shifted` weight, typical level positions) and,
    for each fold, `fold-K-sagittal.safetensors` and `fold-K-axial.safetensors` into the folder
    `out`; a net whose views have no targets is left out. A study of fold K gets its points from the
    nets of fold K, which were not trained on that fold; a study in no fold is not trained on and
    gets the median over all nets. Order and augmentation depend on `seed` alone; results are bit-
    identical for the same number of `threads` on the same CPU type.

    `on_event` receives the number of files read, and each epoch of each net.

    Returns: quarantine rows (path, stage, reason) of the files without readable pixels.

    Raises:
        DataError: no annotated study outside a fold to learn from.
        StageError: the child process died.
    """
    train = instances.filter(pl.col("split") == "train")
    # Annotated moves correct the images for training alone; at prediction, a training study's moves
    # are found from predicted points, as a test study's are.
    moves = annotated_moves(train, annotations)
    rightly = moved_back(train, moves)
    places = centre_on_midline(place_annotations(rightly, annotations), rightly)
    grids = _grids(config)
    fold_of = dict(folds.select("study_id", "fold").iter_rows())
    names = sorted(set(fold_of.values()))
    with write_folder(out) as work:
        views = _prepare(train, grids, work, processes, on_event)
        studies = _studies_of(views)
        taught = _write_taught(views, places, moves, work)
        _write_folds(studies, taught, fold_of, work)
        # Such small nets gain little from a second thread; a second process doubles the speed.
        beside = min(threads, len(names))
        inputs = _JobInputs(views, studies, work, device, max(1, threads // beside))
        settings = {"config": config, "seed": seed, "metadata": grids, "models": out}
        jobs = [
            LearnJob(folds=tuple(names[first::beside]), **settings, **inputs.of(first))
            for first in range(beside)
        ]
        found = _run(jobs, log, on_event)
    shifted = write_found("train", train, studies, _series_of(views), found, out)
    write_table(PointErrors, _errors(out, places, rightly), out / "point_errors.parquet")
    usual = {"shifted": shifted, "places_mm": typical_offsets(places, rightly).tolist()}
    write_text(out / USUAL, json.dumps(usual))
    return _quarantine(views)


def _errors(out: Path, places: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Return the errors of the points that `write_found` wrote into `out`."""
    landmarks = read_parquet(out / "landmarks.parquet")
    return measure_errors(landmarks, places, instances)


def locate_points(
    *,
    instances: pl.DataFrame,
    models: Path,
    out: Path,
    device: str,
    threads: int,
    processes: int,
    log: Path,
    on_event: OnEvent,
    by_model: Path | None = None,
) -> pl.DataFrame:
    """Find the points of all test studies: the median over the models, in mm.

    Writes the four tables into the folder `out`; confidence drops where models disagree. A study
    without a detected level gets the typical positions of the training studies, so that it can
    still be graded.

    Args:
        instances: the instances table; rows of the training split are ignored.
        models: the folder that `learn_points` wrote.
        out: the folder of the result.
        device: "cpu" or "cuda".
        threads: number of torch's threads.
        processes: number of processes that read pixels.
        log: the file that the child's output is appended to.
        on_event: as for `learn_points`.
        by_model: a Parquet file for each model's own points (`ModelPoints`).

    Returns: quarantine rows (path, stage, reason) of the files without readable pixels.

    Raises:
        DataError: no model in `models`.
        StageError: the child process died.
    """
    files, grids = _find_models(models)
    test = instances.filter(pl.col("split") == "test")
    with write_folder(out) as work:
        views = _prepare(test, grids, work, processes, on_event)
        studies = _studies_of(views)
        inputs = _JobInputs(views, studies, work, device, threads)
        found = _run([PredictPointsJob(models=tuple(files), **inputs.of(0))], log, on_event)
    usual = json.loads((models / USUAL).read_text(encoding="utf-8"))
    write_found(
        "test",
        test,
        studies,
        _series_of(views),
        found,
        out,
        usual=usual["shifted"],
        typical_mm=np.array(usual["places_mm"]),
    )
    if by_model is not None:
        write_table(ModelPoints, points_by_model(studies, found), by_model)
    return _quarantine(views)


def _grids(config: CoordinatesConfig) -> dict[str, dict[str, Any]]:
    """Return the size of the images of each family of views."""
    return {
        "sagittal": {"image_size": config.image_size, "field_mm": config.field_mm},
        "axial": {"image_size": config.axial_image_size, "field_mm": config.axial_field_mm},
    }


def _find_models(folder: Path) -> tuple[list[dict[str, Path]], dict[str, dict[str, Any]]]:
    """Return each fold's models by family of views, and each family's size of images.

    Raises:
        DataError: there is no model in the folder.
    """
    files: dict[str, dict[str, Path]] = {}
    grids: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("fold-*-*.safetensors")):
        _, fold, name = path.stem.split("-")
        files.setdefault(fold, {})[name] = path
        with safe_open(path, framework="np") as model:
            grids[name] = json.loads(model.metadata()["net"])
    if not files:
        raise DataError(
            f"{folder}: no fold-K-VIEWS.safetensors, expected the models of the coordinates stage; "
            "run that stage on the training studies first"
        )
    return list(files.values()), grids


def _prepare(
    instances: pl.DataFrame,
    grids: Mapping[str, Mapping[str, Any]],
    work: Path,
    processes: int,
    on_event: OnEvent,
) -> dict[str, Views]:
    """Write the images of each family of views into a subfolder of `work`; return the views."""
    views = {}
    for family in FAMILIES:
        if family.name not in grids:
            continue
        folder, grid = work / family.name, grids[family.name]
        folder.mkdir()
        views[family.name] = prepare_views(
            instances,
            family.kinds,
            folder / "images.npy",
            size=grid["image_size"],
            field_mm=grid["field_mm"],
            processes=processes,
            on_progress=lambda read, files: on_event(FilesRead(read=read, files=files)),
        )
    return views


def _studies_of(views: Mapping[str, Views]) -> list[int]:
    """Return all studies that have a view, in ascending order."""
    return sorted({study for own in views.values() for study in own.study_ids.tolist()})


def _series_of(views: Mapping[str, Views]) -> list[tuple[int, int]]:
    """Return all (study, series) that have a slice; T2 first, since it takes precedence over T1."""
    slices = pl.concat([own.slices for own in views.values()]).unique(_SERIES)
    first = pl.col("series_description") != str(SeriesDescription.SAGITTAL_T2)
    return slices.sort(first, *_SERIES).select(_SERIES).rows()


def _write_taught(
    views: Mapping[str, Views], places: pl.DataFrame, moves: pl.DataFrame, work: Path
) -> set[int]:
    """Write each view's targets and the corrected planes of its slices, for all families.

    Returns: the studies that have a target.
    """
    taught: set[int] = set()
    for family in FAMILIES:
        own, folder = views[family.name], work / family.name
        shifts = own.slices.join(moves, on=_SERIES, how="left", maintain_order="left")
        planes = own.planes_mm.copy()
        planes[:, 0] -= shifts.select(pl.col(_XYZ).fill_null(0.0)).to_numpy()
        np.save(folder / "taught.npy", planes)
        points_of, nothing = training_targets(places, family), np.full((POINTS_OF_NET, 3), np.nan)
        points = [points_of.get(study, nothing) for study in own.study_ids.tolist()]
        targets = np.array(points).reshape(-1, POINTS_OF_NET, 3)
        np.save(folder / "targets.npy", targets)
        taught.update(own.study_ids[np.isfinite(targets).any(axis=(1, 2))].tolist())
    return taught


def _write_folds(
    studies: list[int], taught: set[int], fold_of: Mapping[int, int], work: Path
) -> None:
    """Write the fold of each study, or -1.

    Raises:
        DataError: no annotated study outside a fold to learn from.
    """
    teaching = {fold_of[study] for study in taught if study in fold_of}
    for fold in sorted(set(fold_of.values())):
        if not teaching - {fold}:
            raise DataError(
                f"coordinates, fold {fold}: no study outside the fold has both readable images and "
                "annotated points, expected at least one to learn from; annotate more studies or "
                "use fewer folds"
            )
    np.save(work / "folds.npy", np.array([fold_of.get(study, -1) for study in studies], np.int64))


class _JobInputs:
    """The fields that all jobs share; writes the views' arrays for the child processes."""

    def __init__(
        self, views: Mapping[str, Views], studies: list[int], work: Path, device: str, threads: int
    ) -> None:
        row_of = {pair: row for row, pair in enumerate(_series_of(views))}
        for name, own in views.items():
            pairs = own.slices.select(_SERIES).iter_rows()
            np.savez(
                work / name / "stacks.npz",
                planes_mm=own.planes_mm,
                starts=own.starts,
                keys=own.series_ids,
                studies=np.searchsorted(studies, own.study_ids),
                series=np.array([row_of[pair] for pair in pairs], int),
            )
        self._common: dict[str, Any] = {
            "families": tuple(views),
            "studies": len(studies),
            "series": len(row_of),
            "work": work,
            "device": device,
            "threads": threads,
        }

    def of(self, number: int) -> dict[str, Any]:
        """Return the shared fields for job `number`."""
        return self._common | {"found": self._common["work"] / f"found-{number}.npz"}


def _run(jobs: Sequence[LocateJob], log: Path, on_event: OnEvent) -> Found:
    """Run all jobs and return their arrays, joined over models; see `coordinates.child`."""
    run_children(
        "lsdc.challenges.lumbar.coordinates.child",
        jobs,
        log=log,
        stall_minutes=STALL_MINUTES,
        on_event=on_event,
    )
    found = []
    for job in jobs:
        with np.load(job.found) as arrays:
            found.append(dict(arrays))
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _quarantine(views: Mapping[str, Views]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"path": path, "stage": "coordinates", "reason": reason}
            for own in views.values()
            for path, reason in own.unreadable
        ],
        schema=pl.Schema(Quarantine),
    ).unique("path", keep="first", maintain_order=True)
