"""Point tables: the predicted levels and landmarks, as later stages read them.

Points are "filled" from other points or, in a test study without any, from typical positions. A
level outside every image of its study has no row, nor has a training study without a detected
level. `landmarks`, `spines` and `moves` declare the other three tables.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.coordinates.keypoint_targets import FAMILIES
from lsdc.challenges.lumbar.coordinates.landmarks import (
    Landmarks,
    Sides,
    join_landmarks,
    shown_on_images,
)
from lsdc.challenges.lumbar.coordinates.level_points import (
    SEEN_CONFIDENCE,
    Floats,
    complete_levels,
    median_of_models,
)
from lsdc.challenges.lumbar.coordinates.moves import Moves, moved_back, predicted_moves
from lsdc.challenges.lumbar.coordinates.spines import Spines, describe_spines, usual_doubt
from lsdc.challenges.lumbar.coordinates.typical import TYPICAL_CONFIDENCE, image_middles
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table, real

Found = dict[str, Floats]


class Points(Table):
    """One row per study and level: the middle of the canal at the disc."""

    split = columns.split(primary_key=True)
    study_id = columns.study(primary_key=True)
    level = columns.level(primary_key=True)
    x_mm = real(columns.WORLD)
    y_mm = real(columns.WORLD)
    z_mm = real(columns.WORLD)
    confidence = columns.confidence()
    source = columns.source()


class ModelPoints(Table):
    """One row per model, study and level that the model detects."""

    model = dy.Int32(primary_key=True, min=0, description="Place of the model, from 0.")
    study_id = columns.study(primary_key=True)
    level = columns.level(primary_key=True)
    x_mm = real(columns.WORLD)
    y_mm = real(columns.WORLD)
    z_mm = real(columns.WORLD)
    confidence = columns.confidence()


TABLES = {"points": Points, "landmarks": Landmarks, "spines": Spines, "moves": Moves}


def write_found(
    split: str,
    instances: pl.DataFrame,
    studies: Sequence[int],
    series: Sequence[tuple[int, int]],
    found: Found,
    out: Path,
    *,
    usual: float | None = None,
    typical_mm: Floats | None = None,
) -> float:
    """Write the four tables of predicted points into `out`: the median over each study's models.

    Args:
        split: the split of the studies.
        instances: the instances table.
        studies: the study ids, in the order of `found`.
        series: (study, series) ids, in the order of `found`.
        found: the arrays of `coordinates.child`.
        out: an existing folder.
        usual: the usual `shifted` weight of the studies that the nets were trained on; None if
            these are the training studies themselves.
        typical_mm: (levels, 3) typical offsets from the middle of a study's images, for studies
            without a detected level; if None, these get no points.

    Returns: `usual`, as given or computed.
    """
    middles = {} if typical_mm is None else image_middles(instances)
    points: list[tuple[Any, ...]] = []
    sides: list[tuple[Any, ...]] = []
    shifted: dict[int, float] = {}
    disputed: dict[int, NDArray[np.bool_]] = {}
    for study, own in _by_study(studies, found):
        completed = complete_levels(*median_of_models(own["points_mm"], own["confidence"]))
        if completed is None:
            if typical_mm is not None and study in middles:
                points += _typical_rows(split, study, middles[study] + typical_mm)
            continue
        places, trust, filled = completed
        sources = np.where(filled, "filled", "predicted")
        points += level_rows(split, study, places, trust, sources)
        shifted[study] = float(own["shifted"].mean())
        disputed[study] = np.array(own["disputed"].mean(axis=0) > 0.5)
        sides += _side_rows(study, own)
    moves = predicted_moves(split, _median_shifts(series, found["moved_mm"]))
    instances = moved_back(instances, moves)
    table = shown_on_images(pl.DataFrame(points, schema=pl.Schema(Points), orient="row"), instances)
    seen = pl.DataFrame(sides, schema=pl.Schema(Sides), orient="row")
    if usual is None:
        usual = usual_doubt(shifted.values())
    write_tables(
        out,
        moves=moves,
        points=table,
        landmarks=join_landmarks(table, seen, instances),
        spines=describe_spines(table, shifted, usual, disputed),
    )
    return usual


def points_by_model(studies: Sequence[int], found: Found) -> pl.DataFrame:
    """Return the level points (`ModelPoints`) that each model detects by itself.

    Args:
        studies: the study ids, in the order of `found`.
        found: the arrays of `coordinates.child`.
    """
    seen = np.isfinite(found["points_mm"]).all(axis=-1)  # (models, studies, levels)
    rows = [
        (
            model,
            studies[row],
            str(LEVELS[level]),
            *found["points_mm"][model, row, level].tolist(),
            float(found["confidence"][model, row, level]),
        )
        for model, row, level in np.argwhere(seen).tolist()
    ]
    return pl.DataFrame(rows, schema=pl.Schema(ModelPoints), orient="row")


def _by_study(studies: Sequence[int], found: Found) -> Iterator[tuple[int, Found]]:
    """Yield each study with the arrays of the models that predicted it."""
    by_study = {name: each for name, each in found.items() if name != "moved_mm"}
    for row, study in enumerate(studies):
        has_result = np.isfinite(found["shifted"][:, row])
        yield study, {name: each[has_result, row] for name, each in by_study.items()}


def _typical_rows(split: str, study: int, points_mm: Floats) -> list[tuple[Any, ...]]:
    count = len(LEVELS)
    rows = level_rows(
        split, study, points_mm, np.full(count, TYPICAL_CONFIDENCE), np.full(count, "filled")
    )
    return [row for row, known in zip(rows, np.isfinite(points_mm[:, 0]), strict=True) if known]


def _median_shifts(
    series: Sequence[tuple[int, int]], moved_mm: Floats
) -> list[tuple[int, int, Floats]]:
    """Return (study, series, shift) of the series that more than half of the models call moved.

    Args:
        series: (study, series) ids.
        moved_mm: (models, series, 3), NaN where a model did not predict, infinite where not moved.
    """
    shifts = []
    for row, (study, one) in enumerate(series):
        shift_mm = moved_mm[~np.isnan(moved_mm[:, row]).any(axis=1), row]
        apart = np.isfinite(shift_mm).all(axis=1)
        if 2 * apart.sum() > len(shift_mm):
            shifts.append((study, one, np.median(shift_mm[apart], axis=0)))
    return shifts


def write_tables(out: Path, **tables: pl.DataFrame) -> None:
    """Write each of the four tables to `out` as NAME.parquet."""
    for name, table in tables.items():
        write_table(TABLES[name], table, out / f"{name}.parquet")


def level_rows(
    split: str, study: int, points_mm: Floats, trust: Floats, sources: NDArray[np.str_]
) -> list[tuple[Any, ...]]:
    """Return the rows (`Points`) of a study's five levels."""
    return [
        (split, study, str(level), *place, confidence, source)
        for level, place, confidence, source in zip(
            LEVELS, points_mm.tolist(), trust.tolist(), sources.tolist(), strict=True
        )
    ]


def _side_rows(study: int, own: Found) -> list[tuple[Any, ...]]:
    """Return the rows (`Sides`) of the sides that the models of a study saw."""
    rows = []
    for family in FAMILIES:
        if f"{family.name}_sides_mm" not in own:
            continue
        found = (own[f"{family.name}_sides_{what}"] for what in ("mm", "confidence"))
        points_mm, trust = median_of_models(*found)
        names = [(str(side), str(level)) for side in family.conditions for level in LEVELS]
        rows += [
            (study, *name, *place, confidence)
            for name, place, confidence in zip(
                names, points_mm.tolist(), trust.tolist(), strict=True
            )
            if confidence >= SEEN_CONFIDENCE
        ]
    return rows
