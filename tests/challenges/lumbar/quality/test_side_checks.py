"""Checks of sides: swapped pairs and sides on the wrong slice are found."""

from dataclasses import replace
from itertools import pairwise

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.challenges.lumbar.vocabulary import LEVELS
from tests.challenges.lumbar.quality.examined import Patient


def mirrored(competition: Competition, study: int, level: str, kind: str) -> Competition:
    """Return the competition with the names of one left and right point exchanged."""
    pair = (pl.col("study_id") == study) & (pl.col("level") == level)
    left, right = f"left_{kind}", f"right_{kind}"
    points = competition.annotations.with_columns(
        condition=pl.when(pair)
        .then(pl.col("condition").replace({left: right, right: left}))
        .otherwise("condition")
    )
    return replace(competition, annotations=points)


def test_swapped_axial_pair_is_found_by_pixels_and_by_position(patient: Patient) -> None:
    swapped = mirrored(patient.competition, patient.study, "l4_l5", "subarticular_stenosis")
    by_pixels = examine(swapped, None).finding("swapped_pairs").rows
    assert by_pixels.select("study_id", "level", "kind", "judged_by").rows() == [
        (patient.study, "l4_l5", "subarticular", "pixels")
    ]
    assert by_pixels.select("swapped_in_series", "pairs_in_series").row(0)[0] == 1

    report = examine(swapped, patient.index)
    assert report.finding("swapped_pairs").rows["judged_by"].to_list() == ["position"]
    across = report.finding("points_on_the_other_side").rows
    assert across["condition"].sort().to_list() == [
        "left_subarticular_stenosis",
        "right_subarticular_stenosis",
    ]


def test_swapped_foraminal_pair_is_found_by_position_only(patient: Patient) -> None:
    swapped = mirrored(patient.competition, patient.study, "l2_l3", "neural_foraminal_narrowing")
    assert examine(swapped, None).finding("swapped_pairs").count == 0
    both_ways = examine(swapped, None).finding("t1_series_without_one_order").rows
    assert both_ways.filter(study_id=patient.study).select(
        "left_to_right", "right_to_left", "on_one_slice"
    ).rows() in ([(1, 4, 0)], [(4, 1, 0)])
    rows = examine(swapped, patient.index).finding("swapped_pairs").rows
    assert rows.select("study_id", "level", "kind").rows() == [
        (patient.study, "l2_l3", "foraminal")
    ]


def test_mirrored_images_are_not_swapped_by_position(patient: Patient) -> None:
    series = patient.series_id("Axial T2")
    there = pl.col("series_id") == series
    last = pl.col("columns").first().over("series_id") - 1
    flipped_points = patient.competition.annotations.join(
        patient.index.instances.select("series_id", "columns").unique("series_id"), on="series_id"
    ).with_columns(
        x_px=pl.when(there).then(pl.col("columns") - 1 - pl.col("x_px")).otherwise("x_px")
    )
    row = pl.concat_list(pl.col("orientation").arr.get(n) for n in range(3))
    moved = patient.index.instances.with_columns(
        far=pl.col("position_mm").arr.to_list() + row * (last * pl.col("column_spacing_mm")),
        back=pl.concat_list(
            *(-pl.col("orientation").arr.get(n) for n in range(3)),
            *(pl.col("orientation").arr.get(n) for n in range(3, 6)),
        ),
    ).with_columns(
        position_mm=pl.when(there).then("far").otherwise(pl.col("position_mm").arr.to_list()),
        orientation=pl.when(there).then("back").otherwise(pl.col("orientation").arr.to_list()),
    )
    instances = moved.with_columns(
        pl.col("position_mm").list.to_array(3), pl.col("orientation").list.to_array(6)
    )
    competition = replace(patient.competition, annotations=flipped_points.drop("columns"))

    from_tables = examine(competition, None).finding("swapped_pairs").rows
    assert (from_tables["swapped_in_series"] == from_tables["pairs_in_series"]).all()
    assert from_tables.height > 1
    report = examine(competition, replace(patient.index, instances=instances))
    assert report.finding("swapped_pairs").count == 0
    assert report.finding("points_on_the_other_side").count == 0


def test_sides_a_level_apart_are_found_by_pixels(patient: Patient) -> None:
    levels = [str(level) for level in LEVELS]
    there = (pl.col("study_id") == patient.study) & pl.col("condition").str.starts_with("left_n")
    up = pl.col("level").replace(dict(pairwise(reversed(levels))))
    points = patient.competition.annotations
    named_too_high = points.filter(~(there & (pl.col("level") == "l1_l2"))).with_columns(
        level=pl.when(there).then(up).otherwise("level")
    )
    report = examine(replace(patient.competition, annotations=named_too_high), None)
    rows = report.finding("foramina_a_level_apart").rows
    assert rows.select("study_id", "series_id").rows() == [
        (patient.study, patient.series_id("Sagittal T1"))
    ]
    assert 0.8 < rows["steps_down"][0] < 1.2


def test_foramina_on_one_slice_are_listed(patient: Patient) -> None:
    report = patient.with_points(pl.lit(7, dtype=pl.Int64).alias("instance_number"), level="l1_l2")
    rows = report.finding("foraminal_pairs_on_one_slice").rows
    assert rows.select("study_id", "level").rows() == [(patient.study, "l1_l2")]


def test_axial_pairs_on_two_slices_are_counted_within_one_series(patient: Patient) -> None:
    before = examine(patient.competition, None).finding("axial_pairs_on_two_slices")
    after = patient.with_points(
        pl.col("instance_number") + 1, condition="left_subarticular_stenosis", level="l5_s1"
    ).finding("axial_pairs_on_two_slices")
    assert abs(after.count - before.count) == 1
    assert after.of == before.of


def test_axial_pair_in_two_series_is_a_note(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(77, dtype=pl.Int64).alias("series_id"),
        condition="left_subarticular_stenosis",
        level="l5_s1",
    )
    found = report.finding("axial_pairs_in_two_series")
    assert patient.study in found.rows["study_id"]
    assert found.severity == "note"
