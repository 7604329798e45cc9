"""Coordinates: where each study's levels and landmarks lie, learnt from annotated points.

Two small nets a fold, one of sagittal views (T1 and T2 alike) and one of axial ones, find canal
points and what lies beside them. A study's views are joined in patient space (`chains`), so that
one fills what another lacks. A training study's points come from the nets that did not train on
its fold, a test study's are the median over all folds' nets. Torch runs in a child process
(`lsdc.lumbar.locate`).

The points table has a row a study and level: split, study_id, level, x_mm, y_mm, z_mm (the canal's
middle at the disc), confidence in (0, 1], and source: "predicted", "annotated", or "filled" from
other points. A level that lies outside every image of its study has no row, nor has a study on
whose images nothing is found. `landmarks` and `spines` describe the other two tables.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import safe_open

from lsdc.errors import DataError
from lsdc.experiments.config import CoordinatesConfig
from lsdc.lumbar.landmarks import SIDES, annotated_landmarks, join_landmarks, shown_on_images
from lsdc.lumbar.level_points import (
    SEEN_CONFIDENCE,
    Floats,
    complete_levels,
    known_points,
    median_of_models,
)
from lsdc.lumbar.midline import centre_on_midline
from lsdc.lumbar.moves import annotated_moves, as_axial_images_show, moved_back, predicted_moves
from lsdc.lumbar.places import place_annotations
from lsdc.lumbar.spines import describe_spines, usual_doubt
from lsdc.lumbar.teaching import FAMILIES, POINTS_OF_NET, Family, taught_points
from lsdc.lumbar.views import Views, prepare_views
from lsdc.lumbar.vocabulary import LEVELS
from lsdc.store.files import write_atomic, write_folder
from lsdc.training.process import run_children

Progress = Callable[[dict[str, Any]], None]
Found = dict[str, Floats]

STALL_MINUTES = 15.0
NAMES = "names.json"
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
# What the settings say of a net itself, its views apart.
NET_SETTINGS = {
    "method",
    "width",
    "epochs",
    "min_steps",
    "batch_size",
    "slices_per_series",
    "learning_rate",
    "shift_along",
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
    """Train the nets of each fold and find the points of all training studies.

    Writes `points.parquet`, `landmarks.parquet`, `spines.parquet`, `moves.parquet`, `names.json`
    (how much speaks against the levels' names as a rule) and, for each fold,
    `fold-K-sagittal.safetensors` and `fold-K-axial.safetensors` into the folder `out`; where no
    view of a kind teaches anything, its net is left out. A study of fold K gets its points from the
    nets of fold K, which saw nothing of that fold; a study in no fold is not trained on, and gets
    the median over all. Order and augmentation depend on `seed` alone; the result is the same to
    the bit for one number of `threads` on one CPU type.

    `on_progress` is told lines with "stage" and either "read" of "files", or "fold", "views",
    "net" of "nets", "epoch" of "epochs" and "seconds_left".

    Returns: quarantine rows (path, stage, reason) of the files that gave no pixels.

    Raises:
        DataError: a fold leaves no annotated study to learn from.
        StageError: the child process died.
    """
    train = instances.filter(pl.col("split") == "train")
    # Annotations say where the nets' images show what they teach; where a study's own images lie,
    # its points are to tell as a test study's do.
    moves = annotated_moves(train, annotations)
    rightly = moved_back(train, moves)
    places = centre_on_midline(place_annotations(rightly, annotations), rightly)
    shown = {"sagittal": places, "axial": as_axial_images_show(places, moves)}
    grids = {
        "sagittal": {"image_size": config.image_size, "field_mm": config.field_mm},
        "axial": {"image_size": config.axial_image_size, "field_mm": config.axial_field_mm},
    }
    fold_of = dict(folds.select("study_id", "fold").iter_rows())
    names = sorted(set(fold_of.values()))
    with write_folder(out) as work:
        views = _prepare(train, grids, work, processes, on_progress)
        studies = _studies_of(views)
        owners = np.array([fold_of.get(study, -1) for study in studies], np.int64)
        np.save(work / "folds.npy", owners)
        taught = [
            _write_targets(own, taught_points(shown[family.name], family), work / family.name)
            for family, own in _by_family(views)
        ]
        _refuse_untaught(set().union(*taught), fold_of, names)
        job = {
            "train": config.model_dump(include=NET_SETTINGS),
            "metadata": grids,
            "models": str(out),
            "seed": seed,
        }
        # Nets so small gain little from a second thread; a second process doubles their speed.
        beside = min(threads, len(names))
        jobs = [{**job, "folds": names[first::beside]} for first in range(beside)]
        found = _run(jobs, views, studies, work, log, device, threads, on_progress)
    _write_found("train", train, studies, found, out)
    return _quarantine(views)


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
    """Find the points of all test studies: the median over the models, in mm.

    Writes the four tables into the folder `out`; the confidence falls where models disagree.

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
    files: dict[str, dict[str, str]] = {}
    grids: dict[str, dict[str, Any]] = {}
    for path in sorted(models.glob("fold-*-*.safetensors")):
        _, fold, name = path.stem.split("-")
        files.setdefault(fold, {})[name] = str(path)
        with safe_open(path, framework="np") as model:
            grids[name] = json.loads(model.metadata()["net"])
    if not files:
        raise DataError(
            f"{models}: no fold-K-VIEWS.safetensors, expected the models of the coordinates stage; "
            "run that stage on the training studies first"
        )
    test = instances.filter(pl.col("split") == "test")
    with write_folder(out) as work:
        views = _prepare(test, grids, work, processes, on_progress)
        studies = _studies_of(views)
        job = {"models": list(files.values())}
        found = _run([job], views, studies, work, log, device, threads, on_progress)
    usual = json.loads((models / NAMES).read_text(encoding="utf-8"))["shifted"]
    _write_found("test", test, studies, found, out, usual=usual)
    return _quarantine(views)


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
    return shown_on_images(pl.DataFrame(rows, schema=POINTS, orient="row"), instances)


def write_annotated(instances: pl.DataFrame, annotations: pl.DataFrame, out: Path) -> None:
    """Write the four tables as the annotations have them into `out`."""
    moves = annotated_moves(instances, annotations)
    instances = moved_back(instances, moves)
    points = annotated_points(instances, annotations)
    _write_tables(
        out,
        moves=moves,
        points=points,
        landmarks=annotated_landmarks(points, instances, annotations),
        spines=describe_spines(points, {}),
    )


def _prepare(
    instances: pl.DataFrame,
    grids: Mapping[str, Mapping[str, Any]],
    work: Path,
    processes: int,
    on_progress: Progress,
) -> dict[str, Views]:
    """Write images and planes of each family of views for the child into a folder in `work`."""
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
            on_progress=lambda read, files: on_progress(
                {"stage": "coordinates", "read": read, "files": files}
            ),
        )
    return views


def _by_family(views: Mapping[str, Views]) -> list[tuple[Family, Views]]:
    return [(family, views[family.name]) for family in FAMILIES if family.name in views]


def _studies_of(views: Mapping[str, Views]) -> list[int]:
    """All studies that have a view, in ascending order."""
    return sorted({study for own in views.values() for study in own.study_ids.tolist()})


def _write_targets(views: Views, taught: Mapping[int, Floats], folder: Path) -> set[int]:
    """Write what each view's study teaches; returns the studies that teach anything."""
    nothing = np.full((POINTS_OF_NET, 3), np.nan)
    targets = [taught.get(study, nothing) for study in views.study_ids.tolist()]
    np.save(folder / "targets.npy", np.array(targets).reshape(-1, POINTS_OF_NET, 3))
    return {
        study
        for study, points in zip(views.study_ids.tolist(), targets, strict=True)
        if np.isfinite(points).any()
    }


def _refuse_untaught(taught: set[int], fold_of: Mapping[int, int], folds: list[int]) -> None:
    teaching = {fold_of[study] for study in taught if study in fold_of}
    for fold in folds:
        if not teaching - {fold}:
            raise DataError(
                f"coordinates, fold {fold}: no study outside the fold has both readable images and "
                "annotated points, expected at least one to learn from; annotate more studies or "
                "use fewer folds"
            )


def _run(
    jobs: Sequence[Mapping[str, Any]],
    views: Mapping[str, Views],
    studies: list[int],
    work: Path,
    log: Path,
    device: str,
    threads: int,
    on_progress: Progress,
) -> Found:
    """What each model of all jobs found of each study; see `lsdc.lumbar.locate` for the arrays."""
    for name, own in views.items():
        np.savez(
            work / name / "stacks.npz",
            planes_mm=own.planes_mm,
            starts=own.starts,
            keys=own.series_ids,
            studies=np.searchsorted(studies, own.study_ids),
        )
    files = [work / f"found-{number}.npz" for number in range(len(jobs))]
    common = {
        "families": list(views),
        "studies": len(studies),
        "work": str(work),
        "device": device,
        "threads": max(1, threads // len(jobs)),
    }
    run_children(
        "lsdc.lumbar.locate",
        [{**job, **common, "found": str(file)} for job, file in zip(jobs, files, strict=True)],
        log=log,
        stall_minutes=STALL_MINUTES,
        on_line=on_progress,
    )
    found = []
    for file in files:
        with np.load(file) as arrays:
            found.append(dict(arrays))
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _write_found(
    split: str,
    instances: pl.DataFrame,
    studies: list[int],
    found: Found,
    out: Path,
    *,
    usual: float | None = None,
) -> None:
    """Write the tables; `usual` is of the nets' training studies, found here where these are."""
    points: list[tuple[Any, ...]] = []
    sides: list[tuple[Any, ...]] = []
    shifts: list[tuple[int, Floats]] = []
    shifted: dict[int, float] = {}
    for row, study in enumerate(studies):
        asked = np.isfinite(found["shifted"][:, row])
        own = {name: each[asked, row] for name, each in found.items()}
        completed = complete_levels(*median_of_models(own["points_mm"], own["confidence"]))
        if completed is None:
            continue
        places, trust, filled = completed
        sources = np.where(filled, "filled", "predicted")
        points += _rows(split, study, places, trust, sources)
        shifted[study] = float(own["shifted"].mean())
        apart = np.isfinite(own["moved_mm"]).all(axis=1)
        if 2 * apart.sum() > len(apart):
            shifts.append((study, np.median(own["moved_mm"][apart], axis=0)))
        for family in FAMILIES:
            if f"{family.name}_sides_mm" in own:
                found_sides = (own[f"{family.name}_sides_{what}"] for what in ("mm", "confidence"))
                sides += _side_rows(study, family, *median_of_models(*found_sides))
    moves = predicted_moves(instances, split, shifts)
    instances = moved_back(instances, moves)
    table = shown_on_images(pl.DataFrame(points, schema=POINTS, orient="row"), instances)
    seen = pl.DataFrame(sides, schema=SIDES, orient="row")
    if usual is None:
        usual = usual_doubt(shifted.values())
        with write_atomic(out / NAMES) as temporary:
            temporary.write_text(json.dumps({"shifted": usual}), encoding="utf-8")
    _write_tables(
        out,
        moves=moves,
        points=table,
        landmarks=join_landmarks(table, seen, instances),
        spines=describe_spines(table, shifted, usual),
    )


def _write_tables(out: Path, **tables: pl.DataFrame) -> None:
    for name, table in tables.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)


def _rows(
    split: str, study: int, points_mm: Floats, trust: Floats, sources: NDArray[np.str_]
) -> list[tuple[Any, ...]]:
    return [
        (split, study, str(level), *place, confidence, source)
        for level, place, confidence, source in zip(
            LEVELS, points_mm.tolist(), trust.tolist(), sources.tolist(), strict=True
        )
    ]


def _side_rows(
    study: int, family: Family, points_mm: Floats, trust: Floats
) -> list[tuple[Any, ...]]:
    """Rows (study, condition, level, place, confidence) of the sides that were seen."""
    names = [(str(side), str(level)) for side in family.conditions for level in LEVELS]
    return [
        (study, *name, *place, confidence)
        for name, place, confidence in zip(names, points_mm.tolist(), trust.tolist(), strict=True)
        if confidence >= SEEN_CONFIDENCE
    ]


def _quarantine(views: Mapping[str, Views]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (path, "coordinates", reason)
            for own in views.values()
            for path, reason in own.unreadable
        ],
        schema={"path": pl.String, "stage": pl.String, "reason": pl.String},
        orient="row",
    ).unique("path", keep="first", maintain_order=True)
