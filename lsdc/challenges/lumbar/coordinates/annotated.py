"""Coordinates taken from the annotations, without a model, for training studies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.annotations.midline import centre_on_midline
from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks, shown_on_images
from lsdc.challenges.lumbar.coordinates.level_points import complete_levels, known_points
from lsdc.challenges.lumbar.coordinates.moves import annotated_moves, moved_back
from lsdc.challenges.lumbar.coordinates.point_tables import TABLES, Points, level_rows, write_tables
from lsdc.challenges.lumbar.coordinates.spines import describe_spines
from lsdc.store.exact_names import read_parquet


def annotated_points(instances: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Return the points table that the annotations give, without a model.

    Canal points are centred on the midline. A level without one is derived from its subarticular or
    foraminal points, or filled from other levels; its source is then "filled".
    """
    places = centre_on_midline(place_annotations(instances, annotations), instances)
    split_of = dict(places.select("study_id", "split").iter_rows())
    rows: list[tuple[Any, ...]] = []
    for study, points, from_canal in zip(*known_points(places), strict=True):
        completed = complete_levels(points, np.isfinite(points).all(axis=1).astype(np.float64))
        if completed is not None:
            points, trust, filled = completed
            sources = np.where(from_canal & ~filled, "annotated", "filled")
            rows += level_rows(split_of[study], study, points, trust, sources)
    return shown_on_images(pl.DataFrame(rows, schema=pl.Schema(Points), orient="row"), instances)


def write_annotated(instances: pl.DataFrame, annotations: pl.DataFrame, out: Path) -> None:
    """Write the four tables that the annotations give into `out`."""
    moves = annotated_moves(instances, annotations)
    instances = moved_back(instances, moves)
    points = annotated_points(instances, annotations)
    write_tables(
        out,
        moves=moves,
        points=points,
        landmarks=annotated_landmarks(points, instances, annotations),
        spines=describe_spines(points, {}),
    )


def take_annotated(
    instances: pl.DataFrame, annotations: pl.DataFrame, out: Path, *, but_for: Sequence[int]
) -> None:
    """Replace the model's tables in `out` by those that the annotations give.

    Args:
        instances: the instances table.
        annotations: the annotations table.
        out: the folder that holds a model's tables.
        but_for: studies that keep the model's rows, as a test study does.
    """
    kept = pl.col("study_id").is_in(but_for)
    found = {name: read_parquet(out / f"{name}.parquet").filter(kept) for name in TABLES}
    write_annotated(instances, annotations.filter(~kept), out)
    for name, rows in found.items():
        table = pl.concat([read_parquet(out / f"{name}.parquet"), rows])
        write_tables(out, **{name: table.sort("study_id", maintain_order=True)})
