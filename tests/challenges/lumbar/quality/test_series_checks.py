"""Checks of the index's series: every planted fault is found."""

from dataclasses import replace

import polars as pl
import pytest

from lsdc.challenges.lumbar.quality.doctor import examine
from tests.challenges.lumbar.quality.examined import Patient, new


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("gaps_in_instance_numbers", {"gaps": 2}),
        ("gaps_in_instance_numbers", {"first_instance": 5}),
        ("duplicate_positions", {"duplicate_positions": 1}),
        ("mixed_shapes", {"shapes": 2}),
        ("several_orientations", {"orientation_groups": 6}),
        ("mixed_order", {"order": "mixed"}),
        ("id_mismatches", {"id_mismatches": 3}),
        ("series_in_another_plane", {"plane": "axial"}),
    ],
)
def test_fault_of_a_series_is_found(
    patient: Patient, fault: str, change: dict[str, object]
) -> None:
    series_id = patient.series_id("Sagittal T1")
    changed = patient.index.series.with_columns(
        pl.when(pl.col("series_id") == series_id).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in change.items()
    )
    before = examine(patient.competition, patient.index)
    report = examine(patient.competition, replace(patient.index, series=changed))
    assert new(report, before) - {"series_unlike_a_lumbar_spine", "axial_apart_from_sagittal"} == {
        fault
    }
    assert series_id in report.finding(fault).rows["series_id"]


def test_series_missing_from_the_table_is_unlisted(patient: Patient) -> None:
    series_id = patient.series_id("Sagittal T1")
    listed = patient.competition.series.filter(pl.col("series_id") != series_id)
    report = examine(replace(patient.competition, series=listed), patient.index)
    assert report.finding("unlisted_series").rows["series_id"].to_list() == [series_id]
