import numpy as np
import polars as pl
import pytest

from lsdc.experiments.config import SlicesConfig
from lsdc.lumbar.slices import choose_slices
from tests.lumbar.slice_tables import AXIAL, T1, T2, chosen_offsets, slices_at

CONFIG = SlicesConfig()


def test_sagittal_block_runs_from_the_patients_left_to_the_right() -> None:
    offsets = [4.0 * step for step in range(-7, 8)]
    found = chosen_offsets(slices_at(T1, offsets), CONFIG)
    assert [found[place] for place in range(3)] == [20, 16, 12]
    assert [found[place] for place in range(3, 8)] == [8, 4, 0, -4, -8]
    assert [found[place] for place in range(8, 11)] == [-12, -16, -20]
    assert set(found) == set(range(11))


def test_t2_follows_t1_and_axial_comes_last_from_top_to_bottom() -> None:
    table = pl.concat(
        [
            slices_at(T2, [0.0], series=2),
            slices_at(AXIAL, [-9.0, -5.0, 1.0, 4.0, 30.0], series=3),
        ]
    )
    found = chosen_offsets(table, CONFIG)
    assert found == {16: 0.0, 22: 4.0, 23: 1.0, 24: -5.0}


def test_slices_too_far_away_leave_their_places_empty() -> None:
    found = chosen_offsets(slices_at(T1, [0.0, 3.0, 60.0, -60.0]), CONFIG)
    assert sorted(found.values()) == [0.0, 3.0]


def test_point_outside_the_image_makes_a_slice_unfit() -> None:
    table = slices_at(AXIAL, [1.0, 2.0]).with_columns(inside=pl.col("offset_mm") > 1.5)
    assert list(chosen_offsets(table, CONFIG).values()) == [2.0]


def test_axial_slices_come_from_all_series_and_groups() -> None:
    table = pl.concat(
        [slices_at(AXIAL, [-1.0, 9.0], series=3), slices_at(AXIAL, [0.5, 2.0], series=4)]
    )
    assert list(chosen_offsets(table, CONFIG).values()) == [2.0, 0.5, -1.0]


def test_of_two_sagittal_series_the_longer_is_taken() -> None:
    table = pl.concat(
        [slices_at(T1, [0.0, 4.0], series=1), slices_at(T1, [1.0, 5.0, -3.0], series=2)]
    )
    assert set(choose_slices(table, CONFIG)["series_id"]) == {2}


@pytest.mark.parametrize("seed", range(20))
def test_mirrored_patient_has_the_places_reversed(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 18))
    offsets = np.sort(random.uniform(-30, 30, count)).tolist()
    found = chosen_offsets(slices_at(T1, offsets), CONFIG)
    mirrored = chosen_offsets(slices_at(T1, [-offset for offset in offsets]), CONFIG)
    assert mirrored == pytest.approx({10 - place: -offset for place, offset in found.items()})


def test_order_of_instances_does_not_matter() -> None:
    offsets = [3.5 * step for step in range(-8, 9)]
    assert chosen_offsets(slices_at(T2, offsets), CONFIG) == chosen_offsets(
        slices_at(T2, offsets[::-1]), CONFIG
    )


def test_nothing_to_choose_from_is_no_error() -> None:
    assert choose_slices(slices_at(T1, []), CONFIG).is_empty()
