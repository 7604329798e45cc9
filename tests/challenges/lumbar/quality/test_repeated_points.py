"""Repeated points of one cell: they are compared before they are averaged."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.coordinates.level_points import known_points
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.quality.corrections import (
    Evidence,
    apply_corrections,
    find_corrections,
)
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from tests.challenges.lumbar.planned import planned_annotations, planned_index
from tests.challenges.lumbar.quality.examined import undo_corrections

ORDER = Order(studies=8, test=0, seed=5, grades="balanced", max_size=320, geometry="usual")
CANAL = "spinal_canal_stenosis"


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    index = planned_index(ORDER)
    return Evidence(index.series, index.instances, index.series)


@pytest.fixture(scope="module")
def annotations(evidence: Evidence) -> pl.DataFrame:
    points = planned_annotations(ORDER)
    return apply_corrections(points, find_corrections(points, evidence))


def again(points: pl.DataFrame, **changes: object) -> pl.DataFrame:
    """Return a changed copy of the points."""
    return points.with_columns(pl.lit(value).alias(name) for name, value in changes.items())


def found(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    return find_corrections(points, evidence).filter(rule="repeated_apart")


@pytest.mark.parametrize("condition", [str(each) for each in CONDITIONS])
@pytest.mark.parametrize("named", [str(level) for level in LEVELS])
def test_repeated_point_a_level_off_is_dropped_and_the_first_kept(
    annotations: pl.DataFrame, evidence: Evidence, condition: str, named: str
) -> None:
    number = [str(level) for level in LEVELS].index(named)
    true = str(LEVELS[number - 1 if number else 1])
    wrong = again(annotations.filter(condition=condition, level=true), level=named)
    points = pl.concat([annotations, wrong])
    both = points.join(wrong, on=["study_id", "condition", "level"], how="semi")
    cells = both.filter(pl.len().over("study_id") > 1)
    corrections = found(points, evidence)
    assert set(corrections["study_id"]) == set(cells["study_id"])
    assert set(corrections["row"]) <= set(range(len(annotations), len(points)))
    assert corrections["became_level"].null_count() == len(corrections)


@pytest.mark.parametrize("places", ["with images", "by pixels alone"])
def test_level_point_is_restored_without_the_wrong_repeat(
    annotations: pl.DataFrame, evidence: Evidence, places: str
) -> None:
    wrong = again(annotations.filter(condition=CANAL, level="l3_l4"), level="l4_l5")
    points = pl.concat([annotations, wrong])
    given = evidence if places == "with images" else Evidence(evidence.listed)
    clean = apply_corrections(points, find_corrections(points, given))
    assert clean.equals(annotations)
    assert undo_corrections(clean, find_corrections(points, given)).equals(points)
    assert evidence.instances is not None
    before, after = (
        known_points(place_annotations(evidence.instances, each))[1]
        for each in (annotations, clean)
    )
    np.testing.assert_array_equal(before, after)


def test_unsupported_contradicting_repeats_are_all_dropped(
    annotations: pl.DataFrame, evidence: Evidence
) -> None:
    study = annotations["study_id"][0]
    alone = annotations.filter(condition=CANAL, level="l3_l4", study_id=study)
    assert found(pl.concat([alone, again(alone, y_px=10.0)]), evidence)["row"].to_list() == [0, 1]


def test_contradicting_repeats_that_both_fit_are_dropped(
    annotations: pl.DataFrame, evidence: Evidence
) -> None:
    """The points lie 7 mm above and below the position: neither is far off, but 14 mm apart."""
    assert evidence.instances is not None
    cell = annotations.filter(condition=CANAL, level="l3_l4").join(
        evidence.instances, on=["study_id", "series_id", "instance_number"]
    )
    step = 7.0 / pl.col("row_spacing_mm")
    up, down = (
        cell.with_columns(y_px=pl.col("y_px") + sign * step).select(annotations.columns)
        for sign in (-1, 1)
    )
    rest = annotations.join(cell, on=["study_id", "condition", "level"], how="anti")
    points = pl.concat([rest, up, down])
    assert len(found(points, evidence)) == 2 * len(cell)


def test_near_repeats_are_kept(annotations: pl.DataFrame, evidence: Evidence) -> None:
    near = annotations.filter(condition=CANAL).with_columns(pl.col("y_px") + 3.0)
    assert found(pl.concat([annotations, near]), evidence).is_empty()


def test_correct_points_are_kept(annotations: pl.DataFrame, evidence: Evidence) -> None:
    assert found(annotations, evidence).is_empty()
