"""Doctor: a clean phantom has only its planted oddities, and a folder needs no tables."""

from dataclasses import replace

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.index import Index
from tests.challenges.lumbar.quality.examined import counted, small_images

ODDITIES_OF_THE_TABLES = {
    "studies_missing_a_series": 2,  # a T1 in training, a T2 in test
    "several_series_of_a_kind": 1,
    "empty_labels": 2,
    "labels_without_a_point": 10,  # the foramina of the study without T1
    "t1_series_without_one_order": 1,
}
ODDITIES_OF_THE_FILES = {
    "gaps_in_instance_numbers": 3,  # a T2 with gaps; a T2 and an axial series that start late
    "several_orientations": 5,  # the angled stacks: three in training, two in test
    "mixed_order": 1,
}
SAGITTAL = pl.col("series_description").str.starts_with("Sagittal")


def test_clean_phantom_has_only_its_planted_oddities(
    competition: Competition, index: Index
) -> None:
    from_tables = counted(examine(competition, None))
    pairs = {"axial_pairs_on_two_slices", "axial_pairs_in_two_series"}
    assert {k: v for k, v in from_tables.items() if k not in pairs} == ODDITIES_OF_THE_TABLES
    with_files = counted(examine(competition, index))
    assert with_files == from_tables | ODDITIES_OF_THE_FILES
    assert counted(examine(None, index)) == ODDITIES_OF_THE_FILES


def test_series_are_counted_by_split_and_kind(competition: Competition, index: Index) -> None:
    counts = examine(competition, index).counts
    assert counts["studies"] == {"test": 2, "train": 6}
    assert counts["series"]["train"] == {"Axial T2": 7, "Sagittal T1": 5, "Sagittal T2/STIR": 6}
    assert counts["files"] == {"usable": index.instances.height, "quarantined": 0, "others": 0}
    slices = counts["slices"]["Sagittal T1"]
    assert slices["series"] == 7
    assert 13 <= slices["min"] <= slices["median"] <= slices["max"]
    assert sum(counts["t1_series_by_order_of_sides"].values()) == 5


def test_folder_without_tables_is_examined_by_image_plane(index: Index) -> None:
    unnamed = replace(
        index,
        instances=index.instances.with_columns(
            split=pl.lit(None, pl.String), series_description=pl.lit(None, pl.String)
        ),
        series=index.series.with_columns(
            split=pl.lit(None, pl.String), series_description=pl.lit(None, pl.String)
        ),
    )
    report = examine(None, small_images(unnamed, index.series["series_id"][0]))
    assert report.finding("series_unlike_a_lumbar_spine").count == 1
    assert set(report.counts["slices"]) == {"sagittal", "axial"}
    with pytest.raises(KeyError):
        report.finding("empty_labels")
