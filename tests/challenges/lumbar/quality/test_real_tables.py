"""The real tables: the doctor finds the published counts."""

from pathlib import Path

import polars as pl
import pydicom
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.quality.corrections import Rule
from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.tables.findings import Report
from tests.challenges.lumbar.planned import index_of
from tests.challenges.lumbar.quality.examined import new


@pytest.fixture(scope="module")
def real(real_data: Path) -> Report:
    return examine(open_competition(real_data / "competition"), None)


def test_real_tables_give_the_published_counts(real: Report) -> None:
    assert real.counts["series"]["train"] == {
        "Axial T2": 2340,
        "Sagittal T1": 1980,
        "Sagittal T2/STIR": 1974,
    }
    assert real.counts["studies"]["train"] == 1975
    assert sum(real.counts["annotations"].values()) == 48_668

    missing = real.finding("studies_missing_a_series").rows.drop("split").rows()
    assert set(missing) == {
        (3008676218, "Sagittal T2/STIR"),
        (2492114990, "Sagittal T1"),
        (2780132468, "Sagittal T1"),
    }
    several = real.finding("several_series_of_a_kind").rows
    tally = several.group_by("series_description", "series").len().rows()
    assert set(tally) == {
        ("Axial T2", 2, 306),
        ("Axial T2", 3, 28),
        ("Axial T2", 4, 1),
        ("Sagittal T1", 2, 7),
    }


def test_real_labels_and_points_give_the_published_counts(real: Report) -> None:
    empty = real.finding("empty_labels")
    assert (empty.count, empty.studies) == (572, 185)
    assert empty.rows["condition"].str.contains("subarticular").sum() == 517

    wrong = real.finding("points_on_the_wrong_kind_of_series")
    assert wrong.rows.select("study_id", "series_description").unique().rows() == [
        (3637444890, "Sagittal T1")
    ]
    assert wrong.count == 5

    two_slices = real.finding("axial_pairs_on_two_slices")
    assert (two_slices.count, two_slices.of) == (3311, 8770)
    swapped = real.finding("swapped_pairs").rows
    assert swapped.select("study_id", "level").rows() == [(677672203, "l4_l5")]
    assert real.finding("points_on_high_instance_numbers").rows["series_id"].unique().to_list() == [
        2683794967
    ]


def test_real_points_are_corrected_from_tables_alone(real: Report) -> None:
    rules = {str(rule) for rule in Rule}
    corrected = {each.name: each.count for each in real.findings if each.name in rules}
    assert {name: count for name, count in corrected.items() if count} == {
        "wrong_series": 5,
        "off_the_trend": 1,
    }
    assert real.finding("off_the_trend").rows.select("study_id", "level").rows() == [
        (1973833645, "l1_l2")
    ]
    # Without positions the correct side is unknown, so nothing is corrected.
    apart = real.finding("foramina_a_level_apart").rows["steps_down"].abs()
    assert apart.len() == 51
    assert apart.is_between(0.8, 1.25).all()


def test_real_t1_series_have_both_left_right_orders(real: Report) -> None:
    # In the one real study, instance 1 is the patient's rightmost slice where the order is
    # "right to left", which is the more common order.
    assert real.counts["t1_series_by_order_of_sides"] == {
        "left to right": 698,
        "mixed": 4,
        "right to left": 1258,
    }


def test_real_t2_series_with_few_canal_points_are_counted(real: Report) -> None:
    # Others count 75 such series; their table may be the full one of 48,692 points, not 48,668.
    rows = real.finding("t2_series_with_few_canal_points").rows
    assert rows.filter(pl.col("points") > 0).height == 91
    assert set(rows.filter(points=0)["study_id"]) == {3225351618, 3294654272, 3637444890}


def test_real_labels_and_points_mostly_match(real: Report) -> None:
    assert real.finding("labels_without_a_point").count == 170
    assert real.finding("points_without_a_label").count == 35
    assert real.finding("foraminal_pairs_on_one_slice").count == 39
    silent = ("repeated_points", "points_on_unlisted_series", "levels_out_of_order")
    assert [real.finding(name).count for name in silent] == [0, 0, 0]


def test_real_study_passes_the_image_checks(real_data: Path, real: Report) -> None:
    competition = open_competition(real_data / "competition")
    listed = competition.series.filter(split="train", study_id=100206310)
    files: list[dict[str, object]] = []
    for series in listed.to_dicts():
        folder = competition.root / f"train_images/{series['study_id']}/{series['series_id']}"
        for path in sorted(folder.glob("*.dcm"), key=lambda path: int(path.stem)):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            geometry = {
                "instance_number": int(path.stem),
                "rows": header.Rows,
                "columns": header.Columns,
                "row_spacing_mm": float(header.PixelSpacing[0]),
                "column_spacing_mm": float(header.PixelSpacing[1]),
                "position_mm": list(map(float, header.ImagePositionPatient)),
                "orientation": list(map(float, header.ImageOrientationPatient)),
            }
            files.append(series | geometry)
    report = examine(competition, index_of(files))
    assert new(report, real) == {"several_orientations"}
    assert report.finding("several_orientations").rows["orientation_groups"].to_list() == [5]
    assert report.counts["slices"]["Axial T2"]["median"] == 60
