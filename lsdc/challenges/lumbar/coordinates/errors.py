"""Errors of points: how far predicted points lie from annotated ones.

A training study's points come from the nets that did not train on its fold, so these are the errors
that a test study's points have as well.
"""

import dataframely as dy
import numpy as np
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom_index.image_use import SAME_PLACE_MM, used_images
from lsdc.geometry.planes import normal_positions
from lsdc.tables.table import Table, real

_KEY = ["study_id", "condition", "level"]
_XYZ = ["x_mm", "y_mm", "z_mm"]
_STACK = ["study_id", "series_id", "stack"]
_OF_SLICES = (
    "The error across the study's {} slices, in slices: {} divided by the distance between "
    "neighbouring slices; null without two such slices in a stack."
)


class PointErrors(Table):
    """One row per annotated point of a training study that was also predicted: predicted minus
    annotated position.
    """

    study_id = columns.study(primary_key=True)
    condition = columns.condition(primary_key=True)
    level = columns.level(primary_key=True)
    x_mm = real("Error towards the patient's left.")
    y_mm = real("Error towards the patient's back.")
    z_mm = real("Error towards the head.")
    sagittal_slices = dy.Float64(nullable=True, description=_OF_SLICES.format("sagittal", "x_mm"))
    axial_slices = dy.Float64(nullable=True, description=_OF_SLICES.format("axial", "z_mm"))


def measure_errors(
    landmarks: pl.DataFrame, places: pl.DataFrame, instances: pl.DataFrame
) -> pl.DataFrame:
    """Return the table `PointErrors` of predicted landmarks.

    Args:
        landmarks: the predicted landmarks table; the canal's landmark is the level point.
        places: the annotations in mm, as `place_annotations` returns them.
        instances: the instances table.
    """
    truth = places.group_by(_KEY).agg(pl.col(name).mean().alias(f"true_{name}") for name in _XYZ)
    found = landmarks.select(*_KEY, *_XYZ).join(truth, on=_KEY, how="inner")
    errors = found.select(*_KEY, *(pl.col(name) - pl.col(f"true_{name}") for name in _XYZ))
    for name, column, kinds in (
        ("sagittal_slices", "x_mm", (SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2)),
        ("axial_slices", "z_mm", (SeriesDescription.AXIAL_T2,)),
    ):
        steps = _steps_mm(instances, [str(kind) for kind in kinds])
        errors = errors.join(steps, on="study_id", how="left").with_columns(
            (pl.col(column) / pl.col("step_mm")).alias(name)
        )
        errors = errors.drop("step_mm")
    return errors.sort(_KEY).select(PointErrors.column_names())


def _steps_mm(instances: pl.DataFrame, kinds: list[str]) -> pl.DataFrame:
    """Return study_id and step_mm, the usual distance between neighbouring slices of a stack."""
    images = used_images(instances).filter(pl.col("series_description").is_in(kinds))
    stacks = images.select(pl.struct(_STACK).rank("dense")).to_series().to_numpy()
    along = normal_positions(
        images["position_mm"].to_numpy().reshape(-1, 3),
        images["orientation"].to_numpy().reshape(-1, 6),
        groups=stacks,
    )
    return (
        images.select(*_STACK, along=pl.Series(np.asarray(along, dtype=np.float64)))
        .sort(*_STACK, "along")
        .with_columns(step_mm=pl.col("along").diff().over(_STACK))
        .filter(pl.col("step_mm") > SAME_PLACE_MM)
        .group_by("study_id")
        .agg(pl.col("step_mm").median())
    )
