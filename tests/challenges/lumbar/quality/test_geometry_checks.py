"""Checks by geometry: series that cannot show a lumbar spine, or not the described plane."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.index import Index
from tests.challenges.lumbar.quality.examined import Patient, small_images


def test_oblique_series_matches_any_description(patient: Patient) -> None:
    oblique = patient.index.series.with_columns(plane=pl.lit("oblique"))
    report = examine(patient.competition, replace(patient.index, series=oblique))
    assert report.finding("series_in_another_plane").count == 0


Shrink = Callable[[Index, int], Index]


def few_slices(index: Index, series: int) -> Index:
    extent = pl.when(pl.col("series_id") == series).then(8.0).otherwise("extent_mm")
    return replace(index, series=index.series.with_columns(extent_mm=extent))


@pytest.mark.parametrize(
    ("shrink", "description", "measure"),
    [
        (small_images, "Sagittal T1", "height of the images"),
        (few_slices, "Sagittal T2/STIR", "width over the slices"),
        (small_images, "Axial T2", "smaller side of the images"),
    ],
)
def test_series_too_small_for_a_lumbar_spine_is_found(
    patient: Patient, shrink: Shrink, description: str, measure: str
) -> None:
    series = patient.series_id(description)
    report = examine(None, shrink(patient.index, series))
    rows = report.finding("series_unlike_a_lumbar_spine").rows
    assert rows.select("series_id", "measure").rows() == [(series, measure)]
    assert rows["value_mm"][0] < rows["lowest_mm"][0]


def test_axial_stack_too_tall_for_a_lumbar_spine_is_found(patient: Patient) -> None:
    series = patient.series_id("Axial T2")
    tall = pl.when(pl.col("series_id") == series).then(900.0).otherwise("extent_mm")
    index = replace(patient.index, series=patient.index.series.with_columns(extent_mm=tall))
    rows = examine(None, index).finding("series_unlike_a_lumbar_spine").rows
    assert rows.select("series_id", "measure").rows() == [(series, "height over a stack")]


def test_axial_series_far_from_the_sagittal_images_is_found(patient: Patient) -> None:
    series = patient.series_id("Axial T2")
    shift = pl.when(pl.col("series_id") == series).then(600.0).otherwise(0.0)
    position = [pl.col("position_mm").arr.get(axis) for axis in range(3)]
    moved = pl.concat_list(*position[:2], position[2] + shift).list.to_array(3)
    index = replace(
        patient.index, instances=patient.index.instances.with_columns(position_mm=moved)
    )
    rows = examine(None, index).finding("axial_apart_from_sagittal").rows
    assert rows.select("study_id", "series_id").rows() == [(patient.study, series)]
