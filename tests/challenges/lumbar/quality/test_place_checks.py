"""Checks of points against images: points outside, out of order, or on missing files."""

from dataclasses import replace

import polars as pl
import pytest

from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.quarantine import Quarantine
from tests.challenges.lumbar.quality.examined import Patient


@pytest.mark.parametrize("move", [-1000.0, 1000.0])
def test_point_outside_its_image_is_listed(patient: Patient, move: float) -> None:
    change = pl.col("x_px") + move
    where = {"condition": "spinal_canal_stenosis", "level": "l3_l4"}
    rows = patient.with_placed_points(change, **where).finding("points_outside_their_image").rows
    assert rows.select("study_id", "condition", "level").rows() == [
        (patient.study, "spinal_canal_stenosis", "l3_l4")
    ]
    from_tables = patient.with_points(change, **where).finding("points_outside_their_image")
    assert from_tables.count == (1 if move < 0 else 0)


def test_point_on_the_outer_half_of_an_edge_pixel_is_inside(patient: Patient) -> None:
    report = patient.with_placed_points(
        pl.lit(-0.4).alias("x_px"), condition="spinal_canal_stenosis", level="l3_l4"
    )
    assert report.finding("points_outside_their_image").count == 0


def test_points_of_exchanged_levels_are_out_of_order(patient: Patient) -> None:
    points = patient.competition.annotations
    there = pl.col("study_id") == patient.study
    exchanged = points.with_columns(
        level=pl.when(there & (pl.col("condition") != "left_subarticular_stenosis"))
        .then(pl.col("level").replace({"l2_l3": "l3_l4", "l3_l4": "l2_l3"}))
        .otherwise("level")
    )
    competition = replace(patient.competition, annotations=exchanged)
    from_tables = examine(competition, None).finding("levels_out_of_order").rows
    assert set(from_tables["condition"]) == {
        "spinal_canal_stenosis",
        "left_neural_foraminal_narrowing",
        "right_neural_foraminal_narrowing",
    }
    assert from_tables.select("level", "level_above").unique().rows() == [("l3_l4", "l2_l3")]

    report = examine(competition, patient.index)
    by_position = report.finding("levels_out_of_order").rows
    assert set(by_position["condition"]) - set(from_tables["condition"]) == {
        "right_subarticular_stenosis"
    }
    off = report.finding("points_off_their_level").rows
    assert off.select("condition", "level").sort("level").rows() == [
        ("left_subarticular_stenosis", "l2_l3"),
        ("left_subarticular_stenosis", "l3_l4"),
    ]
    assert off["offset_mm"].abs().min() > 20


def test_point_on_a_too_high_instance_number_is_listed(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(5046, dtype=pl.Int64).alias("instance_number"), level="l1_l2"
    )
    assert report.finding("points_on_high_instance_numbers").count == 5


def test_points_on_missing_and_quarantined_files_are_listed_apart(patient: Patient) -> None:
    points = patient.competition.annotations.filter(study_id=patient.study).sort(
        "series_id", "instance_number"
    )
    missing, broken = points.row(0, named=True), points.row(-1, named=True)
    ids = ["study_id", "series_id", "instance_number"]
    lost = pl.DataFrame([{name: row[name] for name in ids} for row in (missing, broken)])
    path = f"/data/train_images/{'/'.join(str(broken[name]) for name in ids)}.dcm"
    index = replace(
        patient.index,
        instances=patient.index.instances.join(lost, on=ids, how="anti"),
        quarantine=pl.DataFrame(
            [(path, "index", "0 bytes", 0, 0, *(broken[name] for name in ids))],
            schema=pl.Schema(Quarantine),
            orient="row",
        ),
    )
    report = examine(patient.competition, index)
    assert report.finding("points_on_missing_files").rows.row(0)[:3] == points.row(0)[:3]
    quarantined = report.finding("points_on_quarantined_files").rows
    assert quarantined.row(0)[:3] == points.row(-1)[:3]
    assert set(quarantined["reason"]) == {"0 bytes"}
    assert report.finding("unusable_files").rows["path"].to_list() == [path]


def test_points_of_series_without_files_are_not_listed(patient: Patient) -> None:
    elsewhere = pl.col("study_id") != patient.study
    index = replace(
        patient.index,
        instances=patient.index.instances.filter(elsewhere),
        series=patient.index.series.with_columns(
            images=pl.when(elsewhere).then("images").otherwise(0)
        ),
    )
    report = examine(patient.competition, index)
    assert report.finding("points_on_missing_files").count == 0
    assert report.finding("series_without_images").count == 3


def test_index_without_usable_files_is_no_error(patient: Patient) -> None:
    index = replace(
        patient.index,
        instances=patient.index.instances.clear(),
        series=patient.index.series.with_columns(images=pl.lit(0)),
    )
    report = examine(patient.competition, index)
    assert report.finding("series_without_images").count == index.series.height
