"""Checks of labels and points against one another and the series table."""

from dataclasses import replace

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.doctor import examine
from tests.challenges.lumbar.quality.examined import Patient


def test_label_without_a_point_and_repeated_point_are_listed(competition: Competition) -> None:
    points = competition.annotations
    doubled = pl.concat([points.slice(1), points.slice(5, 1)])
    report = examine(replace(competition, annotations=doubled), None)
    cell = points.select("study_id", "condition", "level").row(0)
    assert cell in report.finding("labels_without_a_point").rows.rows()
    assert report.finding("repeated_points").count == 2


def test_point_on_an_unlisted_series_is_listed(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(77, dtype=pl.Int64).alias("series_id"),
        condition="spinal_canal_stenosis",
        level="l3_l4",
    )
    assert report.finding("points_on_unlisted_series").rows["series_id"].to_list() == [77]
    few = report.finding("t2_series_with_few_canal_points").rows
    assert few.row(0, named=True) == {
        "study_id": patient.study,
        "series_id": patient.series_id("Sagittal T2/STIR"),
        "points": 4,
        "missing_levels": "l3_l4",
    }


def test_canal_points_on_t1_are_on_the_wrong_kind_of_series(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(patient.series_id("Sagittal T1"), dtype=pl.Int64).alias("series_id"),
        condition="spinal_canal_stenosis",
    )
    found = report.finding("points_on_the_wrong_kind_of_series")
    assert found.count == 5
    assert found.rows.select("series_description", "expected").unique().rows() == [
        ("Sagittal T1", "Sagittal T2/STIR")
    ]
    few = report.finding("t2_series_with_few_canal_points").rows
    assert few.select("study_id", "points").rows() == [(patient.study, 0)]
