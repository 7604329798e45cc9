"""Spines: the summary of a study's levels."""

import polars as pl
import pytest

from lsdc.challenges.lumbar.coordinates.point_tables import Points
from lsdc.challenges.lumbar.coordinates.spines import Spines, describe_spines, usual_doubt
from lsdc.challenges.lumbar.vocabulary import LEVELS


def points_of(heights: dict[str, float], filled: tuple[str, ...] = ()) -> pl.DataFrame:
    rows = [
        ("train", 7, level, 0.0, 0.0, z, 0.9, "filled" if level in filled else "predicted")
        for level, z in heights.items()
    ]
    return pl.DataFrame(rows, schema=pl.Schema(Points), orient="row")


EVEN = {str(level): -35.0 * k for k, level in enumerate(LEVELS)}


def test_ordinary_spine_is_complete_and_not_flagged() -> None:
    table = describe_spines(points_of(EVEN), {7: 0.0})
    assert table.schema == pl.Schema(Spines)
    assert table.to_dicts() == [
        {
            "split": "train",
            "study_id": 7,
            "seen": 5,
            "filled": 0,
            "absent": 0,
            "absent_levels": "",
            "widest_step": pytest.approx(1.0),
            "shifted": 0.0,
            "extra_vertebra": False,
            "disputed_levels": "",
        }
    ]


def test_absent_and_filled_levels_are_counted_and_named() -> None:
    heights = {level: z for level, z in EVEN.items() if level != "l5_s1"}
    row = describe_spines(points_of(heights, filled=("l1_l2",)), {}).row(0, named=True)
    assert (row["seen"], row["filled"], row["absent"]) == (3, 1, 1)
    assert row["absent_levels"] == "l5_s1"


def test_step_over_an_unnamed_disc_is_flagged() -> None:
    heights = {level: z - 35.0 * (k >= 3) for k, (level, z) in enumerate(EVEN.items())}
    row = describe_spines(points_of(heights), {}).row(0, named=True)
    assert row["widest_step"] == pytest.approx(2.0)
    assert row["extra_vertebra"]


def test_level_names_that_may_be_one_off_are_flagged() -> None:
    row = describe_spines(points_of(EVEN), {7: 0.3}).row(0, named=True)
    assert row["shifted"] == 0.3
    assert row["extra_vertebra"]


@pytest.mark.parametrize(("usual", "flagged"), [(1e-3, True), (1e-2, False)])
def test_shifted_weight_is_compared_with_the_usual_weight(usual: float, flagged: bool) -> None:
    row = describe_spines(points_of(EVEN), {7: 0.2}, usual).row(0, named=True)
    assert row["extra_vertebra"] == flagged


def test_usual_weight_is_the_median() -> None:
    assert usual_doubt([0.9, 1e-4, 2e-4]) == 2e-4
    assert usual_doubt([]) == 0.0


def test_no_points_give_no_rows() -> None:
    assert describe_spines(points_of({}), {}).is_empty()
