"""Names: what may be wrong with the names of levels is said, L5/S1 included."""

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.coordinates.point_tables import ModelPoints, Points
from lsdc.challenges.lumbar.predict.names import Names, name_levels
from lsdc.challenges.lumbar.vocabulary import LEVELS

HEIGHTS = np.array([140.0, 105.0, 70.0, 35.0, 0.0])
SURE = {"extra_vertebra": False, "widest_step": 1.1, "shifted": 1e-6, "disputed_levels": ""}
NAMES = [str(level) for level in LEVELS]


def points(
    heights: np.ndarray = HEIGHTS, confidence: float = 0.9, source: str = "predicted"
) -> pl.DataFrame:
    rows = [
        ("test", 1, level, 0.0, 0.0, z, confidence, source)
        for level, z in zip(NAMES, heights, strict=True)
        if np.isfinite(z)
    ]
    return pl.DataFrame(rows, schema=pl.Schema(Points), orient="row")


def by_model(*heights: np.ndarray) -> pl.DataFrame:
    rows = [
        (model, 1, level, 0.0, 0.0, z, 0.9)
        for model, own in enumerate(heights)
        for level, z in zip(NAMES, own, strict=True)
        if np.isfinite(z)
    ]
    return pl.DataFrame(rows, schema=pl.Schema(ModelPoints), orient="row")


def named(*heights: np.ndarray, spine: dict = SURE, table: pl.DataFrame | None = None) -> Names:
    own = points() if table is None else table
    return name_levels(own, by_model(*heights), spine, len(heights))


def test_agreeing_models_leave_no_doubt() -> None:
    found = named(HEIGHTS, HEIGHTS + 2, HEIGHTS - 2)
    assert found.doubts == ()
    assert found.extra_or_missing is False
    assert all(each.is_sure for each in found.levels.values())
    assert {each.agreeing for each in found.levels.values()} == {3}
    assert found.levels["l5_s1"].position_mm == (0.0, 0.0, 0.0)


def test_models_that_name_the_levels_one_off_are_counted() -> None:
    found = named(HEIGHTS, HEIGHTS + 35, HEIGHTS)
    assert found.extra_or_missing
    assert found.doubts == ("1 of 3 folds name the levels one off",)
    assert found.levels["l5_s1"].agreeing == 2


def test_a_step_of_two_levels_and_a_likely_shift_are_flagged() -> None:
    wide = named(HEIGHTS, spine={**SURE, "widest_step": 1.9, "extra_vertebra": True})
    assert wide.extra_or_missing
    assert "1.9 times the usual one" in wide.doubts[0]
    shifted = named(HEIGHTS, spine={**SURE, "shifted": 0.3, "extra_vertebra": True})
    assert "all names may be one level off (probability 0.3)" in shifted.doubts[0]
    for weight, flag in ((0.02, False), (0.04, True)):  # usual for the models, but likely
        likely = named(HEIGHTS, spine={**SURE, "shifted": weight})
        assert likely.extra_or_missing is flag


def test_low_confidence_of_the_lowest_level_is_said() -> None:
    low = points().with_columns(
        confidence=pl.when(pl.col("level") == "l5_s1").then(0.2).otherwise("confidence")
    )
    found = named(HEIGHTS, HEIGHTS, table=low)
    assert found.doubts == ("L5/S1: confidence of the name down to 0.20",)
    assert found.levels["l5_s1"].confidence == 0.2
    assert [name for name, each in found.levels.items() if not each.is_sure] == ["l5_s1"]
    assert found.extra_or_missing is None


def test_a_level_on_which_half_of_the_models_disagree_is_unsure() -> None:
    other = HEIGHTS - [0, 0, 0, 0, 18]
    found = named(HEIGHTS, other)
    assert found.levels["l5_s1"].agreeing == 1
    assert any(doubt.startswith("L5/S1: confidence") for doubt in found.doubts)
    assert found.extra_or_missing is None


def test_a_level_that_no_image_shows_leaves_the_flag_false_and_one_that_was_not_seen_does_not() -> (
    None
):
    above = np.array([np.nan, 105.0, 70.0, 35.0, 0.0])
    assert named(above, above, table=points(above)).extra_or_missing is False
    filled = pl.when(pl.col("level") == "l1_l2").then(pl.lit("filled")).otherwise("source")
    assert named(HEIGHTS, HEIGHTS, table=points().with_columns(source=filled)).extra_or_missing is (
        None
    )
    below = np.array([140.0, 105.0, 70.0, 35.0, np.nan])
    assert named(below, below, table=points(below)).extra_or_missing is None


def test_absent_and_filled_levels_and_disputes_are_named() -> None:
    seen = np.array([np.nan, 105.0, 70.0, 35.0, 0.0])
    table = points(seen).with_columns(
        source=pl.when(pl.col("level") == "l5_s1").then(pl.lit("filled")).otherwise("source")
    )
    found = named(seen, spine={**SURE, "disputed_levels": "l2_l3 l3_l4"}, table=table)
    assert found.levels["l1_l2"].source == "absent"
    assert found.levels["l1_l2"].position_mm is None
    assert "L1/L2: outside all images" in found.doubts
    assert "L5/S1: not seen, placed by the other levels" in found.doubts
    assert "L2/L3, L3/L4: sagittal and axial images over 10 mm apart" in found.doubts


def test_a_study_without_a_seen_level_has_one_doubt() -> None:
    unseen = np.full(5, np.nan)
    found = named(unseen, unseen, table=points(source="filled"), spine={})
    assert found.doubts == ("no level was found in the images",)
