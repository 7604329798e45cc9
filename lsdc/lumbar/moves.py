"""Moves: where the patient moved between the sagittal and the axial series of a study.

Axial images then lie elsewhere in patient space than what they show, and no header says so: real
series have a frame of reference each. What the views say of the levels does. Where axial and
sagittal images put them over 10 mm apart, alike at all levels, the sagittal ones are believed and
the axial series is moved back.

The moves table has a row an axial series that was moved: split, study_id, series_id, x_mm, y_mm,
z_mm (LPS), how far from where the sagittal images have its levels; and source, "annotated" or
"predicted", by which points it was found.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.lumbar.image_use import used_images
from lsdc.lumbar.level_points import AGREEMENT_MM, Floats, known_points
from lsdc.lumbar.places import place_annotations
from lsdc.lumbar.vocabulary import Condition, SeriesDescription

MOVES: dict[str, pl.DataType] = {
    "split": pl.String(),
    "study_id": pl.Int64(),
    "series_id": pl.Int64(),
    "x_mm": pl.Float64(),
    "y_mm": pl.Float64(),
    "z_mm": pl.Float64(),
    "source": pl.String(),
}
# So many levels must be seen by both at least, by nets and by annotators.
LEAST_PREDICTED, LEAST_ANNOTATED = 3, 2
# A move is the same at all levels; points of one level differ by a few mm from view to view.
RIGID_MM = 6.0
# Levels of the one that lie so near to neighbouring ones of the other bear another name.
RENAMED_MM = 4.0

_AXIAL = str(SeriesDescription.AXIAL_T2)
_SERIES = ["study_id", "series_id"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
_ZONES = [str(c) for c in Condition if c.pooled == "subarticular"]
# So many studies a line of the log names.
_NAMED = 20


def shift_between(
    sagittal_mm: Floats, axial_mm: Floats, least: int = LEAST_PREDICTED
) -> Floats | None:
    """How far axial points lie from sagittal ones, where that is over 10 mm and alike everywhere.

    Points that lie at those of the neighbouring levels are named otherwise, and did not move.

    Args:
        sagittal_mm: (levels, 3), NaN where a level is not known.
        axial_mm: the same by axial images.
        least: how many levels must be known by both.

    Returns:
        (3,) in mm, or None.
    """
    apart = axial_mm - sagittal_mm
    apart = apart[np.isfinite(apart).all(axis=1)]
    if len(apart) < least:
        return None
    shift: Floats = np.median(apart, axis=0)
    left_over = _median_length(apart - shift)
    # Of two axial series one may have moved alone: then no one shift is that of both.
    odd = np.linalg.norm(apart - shift, axis=1) > 2 * RIGID_MM
    if np.linalg.norm(shift) <= AGREEMENT_MM or left_over > RIGID_MM or odd.sum() > 1:
        return None
    for named, next_to in ((axial_mm[1:], sagittal_mm[:-1]), (axial_mm[:-1], sagittal_mm[1:])):
        if _median_length(named - next_to) <= max(left_over, RENAMED_MM):
            return None
    return shift


def annotated_moves(instances: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """The moves table as annotated points tell it, axial series by axial series.

    Args:
        instances: the instances table.
        annotations: the annotations table.
    """
    places = place_annotations(instances, annotations)
    zones = pl.col("condition").is_in(_ZONES)
    studies, sagittal, _ = known_points(places.filter(~zones))
    by_study = dict(zip(studies, sagittal, strict=True))
    rows = []
    for (split, study, series), own in places.filter(zones).group_by(
        "split", *_SERIES, maintain_order=True
    ):
        _, (axial,), _ = known_points(own)
        if study in by_study:
            shift = shift_between(by_study[study], axial, LEAST_ANNOTATED)
            if shift is not None:
                rows.append((split, study, series, *shift.tolist(), "annotated"))
    return pl.DataFrame(rows, schema=MOVES, orient="row")


def predicted_moves(
    instances: pl.DataFrame, split: str, shifts: Sequence[tuple[int, Floats]]
) -> pl.DataFrame:
    """The moves table of studies of whose axial images nets found that they moved.

    Args:
        instances: the instances table.
        split: of the studies.
        shifts: study and shift (3,).
    """
    series = used_images(instances).filter(series_description=_AXIAL).select(_SERIES).unique()
    moved = pl.DataFrame(
        [(split, study, *shift.tolist(), "predicted") for study, shift in shifts],
        schema={name: kind for name, kind in MOVES.items() if name != "series_id"},
        orient="row",
    )
    return moved.join(series, on="study_id", how="inner").sort(_SERIES).select(list(MOVES))


def as_axial_images_show(places: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Points where a study's axial images show them, given where its sagittal ones do.

    Args:
        places: study_id, x_mm, y_mm, z_mm and any other columns.
        moves: the moves table.
    """
    shift = moves.group_by("study_id").agg(pl.col(_XYZ).mean())
    at = places.join(shift, on="study_id", how="left", maintain_order="left", suffix="_away")
    moved = [pl.col(axis) + pl.col(f"{axis}_away") for axis in _XYZ]
    return at.with_columns(
        pl.coalesce(there, axis) for axis, there in zip(_XYZ, moved, strict=True)
    ).select(places.columns)


def moved_back(instances: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """The instances, those of moved series where the sagittal images have what they show."""
    if moves.is_empty():
        return instances
    shift = moves.select(*_SERIES, shift_mm=pl.concat_list(_XYZ).list.to_array(3))
    at = instances.join(shift, on=_SERIES, how="left", maintain_order="left")
    moved = pl.when(pl.col("shift_mm").is_null()).then("position_mm")
    return at.with_columns(
        position_mm=moved.otherwise(pl.col("position_mm") - pl.col("shift_mm"))
    ).drop("shift_mm")


def describe_moves(moves: pl.DataFrame) -> str:
    """Which axial series moved, and how far, in a line."""
    names = [
        f"{study}/{series} {np.linalg.norm(shift):.0f} mm"
        for study, series, *shift in moves.select(*_SERIES, *_XYZ).iter_rows()
    ]
    return (
        f"{len(moves)} axial series lie apart from where the sagittal images have their levels and "
        f"are moved back: {', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''}; the "
        "patient moved between the series, the catalog's table moves says whereto"
    )


def _median_length(vectors: NDArray[np.float64]) -> float:
    known = vectors[np.isfinite(vectors).all(axis=1)]
    return float(np.median(np.linalg.norm(known, axis=1))) if len(known) >= 2 else np.inf
