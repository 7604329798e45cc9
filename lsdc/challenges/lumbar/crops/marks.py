"""Marks: which slice of a sample a radiologist annotated for each condition."""

import dataframely as dy
import numpy as np
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.annotations.patient_space import place_annotations, planes_of
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.crops.plan import choose_crops
from lsdc.tables.table import Table

# About the distance of two slices, which is 4 to 5 mm: the annotated slice itself may not be
# among those of a sample.
_FARTHEST_MM = 6.0
_SAME_MM = 1e-3  # slices this near to each other are the same slice in two slots

_SAMPLE = ["row", "condition"]


class Marks(Table):
    """One row per sample, condition and slot that holds the slice nearest to the annotated point.

    A slice that fills two slots has two rows. There is none if that slice is farther than 6 mm.
    """

    row = dy.Int32(primary_key=True, min=0, description="Row of crops.npy.")
    condition = columns.condition(primary_key=True)
    place = dy.Int32(
        primary_key=True,
        min=0,
        description="Number of the stored slot, from 0, spare ones included.",
    )
    distance_mm = dy.Float64(
        min=0, description="Distance of the slice's plane from the annotated point."
    )


def find_marks(
    instances: pl.DataFrame,
    slices: pl.DataFrame,
    annotations: pl.DataFrame,
    samples: pl.DataFrame,
    choice: SlicesConfig,
    config: CropsConfig,
) -> pl.DataFrame:
    """Return the table `Marks`; a condition is marked on slices of the series that shows it.

    Args:
        instances: the instances table, with the patient's moves taken back.
        slices: the slices table; see `slices.slice_offsets`.
        annotations: the annotated points.
        samples: the table of the samples that were cut from these slices.
        choice: the settings of the choice of slices.
        config: the settings of the crops.
    """
    points = place_annotations(instances, annotations).select(
        "study_id",
        "level",
        "condition",
        "x_mm",
        "y_mm",
        "z_mm",
        series_description=columns.SHOWN_ON,
    )
    near = choose_crops(instances, slices, samples, choice, config).join(
        points, on=["study_id", "level", "series_description"], how="inner", maintain_order="left"
    )
    planes = planes_of(instances[near["instance"]])
    away_mm = np.abs(planes.signed_distance(near.select("x_mm", "y_mm", "z_mm").to_numpy()))
    distance = pl.col("distance_mm")
    return (
        near.with_columns(pl.Series("distance_mm", away_mm))
        .filter(distance <= _FARTHEST_MM, distance <= distance.min().over(_SAMPLE) + _SAME_MM)
        .group_by(*_SAMPLE, "place")
        .agg(distance.min())
        .sort(*_SAMPLE, "place")
        .cast({"row": pl.Int32, "place": pl.Int32})
    )
