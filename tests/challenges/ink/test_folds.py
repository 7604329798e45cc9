"""Regions of equal area, folds of them, and the gap to what is held out."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.ink.competition.tables import Fragment
from lsdc.challenges.ink.folds import (
    AllowedRows,
    Folds,
    Regions,
    allowed_rows,
    are_leaky,
    assign_folds,
    find_regions,
)
from lsdc.errors import DataError, SettingsError
from tests.challenges.ink.made_fragments import write_fragment


@pytest.fixture
def fragments(tmp_path: Path) -> list[Fragment]:
    """Write fragments of which the second, a triangle, is the largest."""
    rng = np.random.default_rng(0)
    square = np.zeros((60, 40), dtype=bool)
    square[10:50, 5:35] = True
    triangle = np.tri(120, 80, dtype=bool)
    ink = rng.random((120, 80)) < 0.2
    return [
        write_fragment(tmp_path, "1", "train", square, square),
        write_fragment(tmp_path, "2", "train", triangle, ink & triangle),
        write_fragment(tmp_path, "10", "train", square, ~square),
        write_fragment(tmp_path, "a", "test", square),
    ]


def test_bands_cover_each_row_once_and_have_equal_areas(fragments: list[Fragment]) -> None:
    found = find_regions(fragments, (1, 3, 1))
    Regions.check(found)
    assert found["region"].to_list() == ["1", "2-0", "2-1", "2-2", "10", "a"]
    bands = found.filter(fragment="2")
    assert bands["first_row"].to_list() == [0, *bands["end_row"].to_list()[:-1]]
    assert bands["end_row"].to_list()[-1] == 120
    area = bands["mask_pixels"].to_numpy()
    assert area.sum() == np.tri(120, 80).sum()
    assert np.abs(area - area.mean()).max() <= 80  # of a row
    assert bands["end_row"][0] > 40  # a triangle's upper third of area has more rows


def test_pixels_of_ink_are_counted_and_unknown_in_the_test_split(fragments: list[Fragment]) -> None:
    found = find_regions(fragments, (1,))
    assert found["region"].to_list() == ["1", "2", "10", "a"]
    assert found["ink_pixels"].to_list()[::3] == [1200, None]
    assert found["mask_pixels"][0] == 1200
    assert found.select("first_row", "end_row").row(0) == (0, 60)


def test_with_as_many_regions_as_folds_the_nth_is_fold_n(fragments: list[Fragment]) -> None:
    regions = find_regions(fragments, (1, 3, 1))
    folds = assign_folds(regions, 5)
    Folds.check(folds)
    assert folds["fold"].to_list() == [0, 1, 2, 3, 4]
    assert "a" not in folds["region"]


def test_folds_have_about_equal_areas_and_never_change(fragments: list[Fragment]) -> None:
    regions = find_regions(fragments, (2, 7, 3))
    folds = assign_folds(regions, 3)
    assert folds.equals(assign_folds(regions, 3))
    area = regions.join(folds, on="region").group_by("fold").agg(pl.col("mask_pixels").sum())
    assert area.height == 3
    assert area["mask_pixels"].max() < 1.3 * area["mask_pixels"].min()


def test_too_many_folds_or_bands_are_refused_by_name(fragments: list[Fragment]) -> None:
    regions = find_regions(fragments)
    with pytest.raises(SettingsError, match=r"4 folds need .* found 3 \(1, 2, 10\); use fewer"):
        assign_folds(regions, 4)
    with pytest.raises(SettingsError, match="expected 2 or more, got 1"):
        assign_folds(regions, 1)
    with pytest.raises(SettingsError, match=r"2 numbers for 3 training fragments \(1, 2, 10\)"):
        find_regions(fragments, (1, 2))
    with pytest.raises(DataError, match=r"mask.png: 1,200 pixels in 60 rows, too few for 50 bands"):
        find_regions(fragments, (50, 1, 1))


@pytest.mark.parametrize("gap", [0, 1, 7, 16])
def test_no_row_of_training_is_within_the_gap_of_what_is_held_out(
    fragments: list[Fragment], gap: int
) -> None:
    regions = find_regions(fragments, (1, 3, 1))
    folds = assign_folds(regions, 5)
    placed = regions.join(folds, on="region")
    for fold in range(5):
        allowed = allowed_rows(regions, folds, fold, gap)
        AllowedRows.check(allowed)
        for fragment, first, end in allowed.rows():
            own = placed.filter(pl.col("fragment") == fragment)
            held_out = own.filter(pl.col("fold") == fold)
            for start, stop in held_out.select("first_row", "end_row").rows():
                assert end + gap <= start or first >= stop + gap
            assert own["first_row"].min() <= first < end <= own["end_row"].max()


def test_a_band_in_the_middle_leaves_both_ends_and_other_fragments_whole(
    fragments: list[Fragment],
) -> None:
    regions = find_regions(fragments, (1, 3, 1))
    folds = assign_folds(regions, 5)
    _, first, end = regions.filter(region="2-1").select("region", "first_row", "end_row").row(0)
    assert allowed_rows(regions, folds, 2, 10).rows() == [
        ("1", 0, 60),
        ("2", 0, first - 10),
        ("2", end + 10, 120),
        ("10", 0, 60),
    ]
    # Neighbouring bands of training are one range.
    assert ("2", 0, 120) in allowed_rows(regions, folds, 0, 10).rows()


def test_nothing_left_to_train_on_is_refused(fragments: list[Fragment]) -> None:
    regions = find_regions(fragments[1:2], (2,))
    folds = assign_folds(regions, 2)
    assert allowed_rows(regions, folds, 0, 5).height == 1
    with pytest.raises(DataError, match="nothing is left to train on without fold 0"):
        allowed_rows(regions, folds, 0, 120)
    with pytest.raises(DataError, match="no region is in fold 7, expected one of 0, 1"):
        allowed_rows(regions, folds, 7, 5)


def test_folds_leak_only_where_a_fragment_is_shared_with_a_small_gap(
    fragments: list[Fragment],
) -> None:
    by_fragment = find_regions(fragments)
    assert not are_leaky(by_fragment, assign_folds(by_fragment, 3), 0, 64)
    by_band = find_regions(fragments, (1, 3, 1))
    assert are_leaky(by_band, assign_folds(by_band, 5), 32, 64)
    assert not are_leaky(by_band, assign_folds(by_band, 5), 64, 64)
