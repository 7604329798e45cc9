import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.choose import choose_slices
from tests.challenges.lumbar.slice_tables import AXIAL, T1, T2, by_name, chosen_offsets, slices_at

CONFIG = SlicesConfig()


def test_sagittal_slots_run_from_the_patients_left_to_right() -> None:
    offsets = [4.0 * step for step in range(-7, 8)]
    found = chosen_offsets(slices_at(T1, offsets), CONFIG)
    assert [found[place] for place in range(3)] == [20, 16, 12]
    assert [found[place] for place in range(3, 8)] == [8, 4, 0, -4, -8]
    assert [found[place] for place in range(8, 11)] == [-12, -16, -20]
    assert set(found) == set(range(11))


def test_slots_are_t1_then_t2_then_axial_from_top_to_bottom() -> None:
    table = pl.concat(
        [
            slices_at(T2, [0.0], series=2),
            slices_at(AXIAL, [-9.0, -5.0, 1.0, 4.0, 30.0], series=3),
        ]
    )
    assert chosen_offsets(table, CONFIG) == {16: 0.0, 22: 4.0, 23: 1.0, 24: -5.0}


def test_slots_without_a_near_slice_stay_empty() -> None:
    found = chosen_offsets(slices_at(T1, [0.0, 3.0, 60.0, -60.0]), CONFIG)
    assert sorted(found.values()) == [0.0, 3.0]


def test_slices_whose_image_misses_the_point_are_not_chosen() -> None:
    table = slices_at(AXIAL, [1.0, 2.0]).with_columns(inside=pl.col("offset_mm") > 1.5)
    assert list(chosen_offsets(table, CONFIG).values()) == [2.0]


def test_axial_slices_come_from_all_series_and_orientation_groups() -> None:
    angled = stacks_at(AXIAL, [40.0, 36.0], [-1.0, 9.0])
    table = pl.concat([angled, slices_at(AXIAL, [0.5, 2.0], series=4)])
    assert list(chosen_offsets(table, CONFIG).values()) == [2.0, 0.5, -1.0]


def test_axial_slices_beyond_the_tolerance_are_masked() -> None:
    table = slices_at(AXIAL, [7.0, 4.0, -4.0, -12.0])
    config = SlicesConfig(axial_tolerance_mm=5.0)
    assert by_name(table, config)["axial"] == [4.0, -4.0, None]
    assert choose_slices(table, SlicesConfig(axial_tolerance_mm=2.5)).is_empty()


def test_longer_of_two_equally_good_sagittal_series_is_chosen() -> None:
    table = pl.concat(
        [slices_at(T1, [0.0, 4.0, 80.0], series=2), slices_at(T1, [1.0, 5.0], series=1)]
    )
    assert set(choose_slices(table, CONFIG)["series_id"]) == {2}


def test_sagittal_series_that_fills_more_slots_is_chosen() -> None:
    cut = [4.0 * step for step in range(-2, 20)]  # long, but the field of view ends at the canal
    whole = [4.0 * step for step in range(-6, 7)]
    table = pl.concat([slices_at(T2, cut, series=1), slices_at(T2, whole, series=2)])
    assert set(choose_slices(table, CONFIG)["series_id"]) == {2}
    elsewhere = table.with_columns(
        level=pl.lit("l1_l2"), inside=pl.col("series_id") == 1
    )  # only the field of view of series 1 contains this level
    assert set(choose_slices(elsewhere, CONFIG)["series_id"]) == {1}


def test_first_of_two_slices_at_one_position_is_chosen() -> None:
    offsets = [8.0, 8.0, 4.0, 4.0, 0.004, 0.0, -4.0, -4.0, -8.0, -8.0]
    found = by_name(slices_at(T2, offsets), CONFIG, what="instance_number")
    assert found["T2 middle"] == [1, 3, 5, 7, 9]


def test_slice_that_shows_the_level_wins_at_one_position() -> None:
    table = slices_at(AXIAL, [1.0, 1.0]).with_columns(inside=pl.col("instance_number") == 2)
    assert by_name(table, CONFIG, what="instance_number")["axial"] == [2, None, None]


def stacks_at(description: str, *stacks: list[float]) -> pl.DataFrame:
    """Return one series of several orientation groups, stored one after the other."""
    before, tables = 0, []
    for group, offsets in enumerate(stacks):
        table = slices_at(description, offsets, group=group)
        tables.append(table.with_columns(pl.col("instance_number") + before))
        before += len(offsets)
    return pl.concat(tables)


def test_overlapping_sagittal_stacks_are_not_combined() -> None:
    turned = [4.0 * step + 0.3 for step in range(-6, 7)]
    table = stacks_at(T2, turned, [4.0 * step for step in range(-7, 8)])
    found = by_name(table, CONFIG)
    assert found["T2 middle"] == [8, 4, 0, -4, -8]
    assert found["T2 left"] == [20, 16, 12]


def test_separate_sagittal_stacks_of_the_sides_are_combined() -> None:
    table = stacks_at(T1, [24.0, 20.0, 16.0, 12.0, 8.0, 4.0], [0.0, -4.0, -8.0, -12.0, -16.0])
    found = by_name(table, CONFIG)
    assert found["T1 left"] == [20, 16, 12]
    assert found["T1 middle"] == [8, 4, 0, -4, -8]
    assert found["T1 right"] == [-8, -12, -16]


def test_slices_of_two_angled_stacks_are_no_duplicates() -> None:
    table = stacks_at(AXIAL, [1.0, 5.0], [1.0, -3.0])
    assert by_name(table, CONFIG)["axial"] == [1.0, 1.0, -3.0]


def test_gap_in_a_series_is_filled_within_tolerance_and_masked_beyond() -> None:
    offsets = [20.0, 16.0, 12.0, 8.0, -8.0, -12.0, -16.0, -20.0]  # without 4, 0 and -4
    found = by_name(slices_at(T1, offsets), CONFIG)
    assert found["T1 left"] == [20.0, 16.0, 12.0]
    assert set(found["T1 middle"]) == {12.0, 8.0, -8.0, -12.0, None}
    assert found["T1 right"] == [-12.0, -16.0, -20.0]


def test_sides_of_a_curved_spine_are_measured_from_the_canal() -> None:
    """Scoliosis: at this level the canal lies 12 mm from the middle slice."""
    offsets = [4.0 * step + 12.0 for step in range(-7, 8)]
    found = by_name(slices_at(T1, offsets), CONFIG)
    assert found["T1 middle"] == [8, 4, 0, -4, -8]
    assert found["T1 left"] == [20, 16, 12]
    assert found["T1 right"] == [-8, -12, -16]  # the series ends there


def test_side_slices_never_come_from_the_other_side() -> None:
    found = by_name(slices_at(T1, [16.0, 12.0, 8.5, 4.0, 0.0, -4.0, -7.5]), CONFIG)
    assert found["T1 left"] == [16.0, 12.0, 8.5]
    assert found["T1 right"] == [None, None, None]


def test_sides_follow_the_foramina_by_landmark() -> None:
    offsets = [3.0 * step for step in range(9, -10, -1)]
    table = slices_at(T1, offsets).with_columns(
        left_offset_mm=pl.col("offset_mm") - 21.0, right_offset_mm=pl.col("offset_mm") + 12.0
    )
    found = by_name(table, SlicesConfig(sagittal="landmark"))
    assert found["T1 left"] == [24, 21, 18]
    assert found["T1 middle"] == [6, 3, 0, -3, -6]
    assert found["T1 right"] == [-9, -12, -15]


def test_level_without_landmarks_uses_the_typical_side_distance() -> None:
    offsets = [3.5 * step for step in range(9, -10, -1)]
    table = slices_at(T1, offsets)
    led = by_name(table, SlicesConfig(sagittal="landmark"))
    assert led == by_name(table, CONFIG)


def test_landmark_on_the_wrong_side_selects_no_slice() -> None:
    offsets = [4.0 * step for step in range(6, -7, -1)]
    table = slices_at(T1, offsets).with_columns(left_offset_mm=pl.col("offset_mm") + 17.0)
    assert by_name(table, SlicesConfig(sagittal="landmark"))["T1 left"] == [None] * 3


@pytest.mark.parametrize("way", ["distance", "landmark"])
def test_row_and_instance_order_do_not_matter(way: str) -> None:
    table = pl.concat(
        [
            slices_at(T2, [3.5 * step for step in range(-8, 9)], series=2),
            slices_at(AXIAL, [3.0 * step + 0.5 for step in range(-8, 9)], series=3),
        ]
    )
    config = SlicesConfig(sagittal=way)
    found = choose_slices(table, config)
    assert_frame_equal(choose_slices(table.sample(fraction=1, shuffle=True, seed=1), config), found)
    renumbered = table.with_columns(instance_number=5049 - 3 * pl.col("instance_number"))
    assert_frame_equal(
        choose_slices(renumbered, config).drop("instance_number"), found.drop("instance_number")
    )


def test_slices_are_chosen_per_study_and_level() -> None:
    one = slices_at(T1, [4.0, 0.0, -4.0])
    other = one.with_columns(level=pl.lit("l1_l2"), offset_mm=pl.col("offset_mm") + 4.0)
    table = pl.concat([one, other, other.with_columns(study_id=pl.lit(6, dtype=pl.Int32))])
    found = choose_slices(table, CONFIG)
    assert found.group_by("study_id", "level").len().height == 3
    assert found["study_id"].to_list() == sorted(found["study_id"])


def test_empty_table_is_no_error() -> None:
    assert choose_slices(slices_at(T1, [0.0]).clear(), CONFIG).is_empty()
