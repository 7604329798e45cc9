"""Axial images that lie elsewhere than the sagittal ones of their study."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdc.lumbar.chains import View
from lsdc.lumbar.corrections import Evidence, find_corrections
from lsdc.lumbar.locate import AXIAL, SAGITTAL, chain_of_families
from lsdc.lumbar.moves import (
    annotated_moves,
    as_axial_images_show,
    describe_moves,
    moved_back,
    predicted_moves,
    shift_between,
)
from lsdc.lumbar.places import place_annotations
from lsdc.phantom.study import Order
from tests.lumbar.planned import planned_annotations, planned_index

HARD = Order(studies=30, test=0, seed=3, grades="balanced", max_size=320, geometry="hard")
SPINE = np.array(
    [
        [0.0, 12.0, 70.0],
        [1.0, 6.0, 36.0],
        [1.0, 2.0, 2.0],
        [0.0, 5.0, -33.0],
        [-1.0, 16.0, -66.0],
    ]
)
SHIFTS = [(0, 0, 60), (0, 0, -60), (0, 0, 20), (0, 0, 200), (0, 20, 0), (-20, 0, 0), (9, 9, 9)]
XYZ = ["x_mm", "y_mm", "z_mm"]


@pytest.fixture(scope="module")
def instances() -> pl.DataFrame:
    return planned_index(HARD).instances


@pytest.fixture(scope="module")
def annotations() -> pl.DataFrame:
    return planned_annotations(HARD)


def moved(instances: pl.DataFrame, shift: tuple[float, float, float]) -> pl.DataFrame:
    """Every axial series elsewhere."""
    axial = pl.col("series_description") == "Axial T2"
    there = pl.lit(pl.Series([shift], dtype=pl.Array(pl.Float64, 3))).first()
    return instances.with_columns(
        position_mm=pl.when(axial).then(pl.col("position_mm") + there).otherwise("position_mm")
    )


@given(
    shift=st.tuples(*[st.floats(-250, 250)] * 3),
    noise=st.lists(st.floats(-1.5, 1.5), min_size=15, max_size=15),
)
def test_a_shift_is_found_where_it_is_large_and_no_step_between_levels(
    shift: tuple[float, float, float], noise: list[float]
) -> None:
    axial = SPINE + np.array(shift) + np.reshape(noise, (5, 3))
    found = shift_between(SPINE, axial)
    length = np.linalg.norm(shift)
    steps = np.linalg.norm(np.abs(np.array(shift)) - [0, 0, 34.0])
    if length < 7:
        assert found is None
    elif length > 13 and steps > 14:
        assert found is not None
        np.testing.assert_allclose(found, shift, atol=1.5)


def test_levels_named_one_off_are_not_moved() -> None:
    for shift in (1, -1):
        named = np.roll(SPINE, shift, axis=0)
        named[0 if shift == 1 else -1] = np.nan
        assert shift_between(SPINE, named) is None


def test_what_is_apart_at_one_level_only_is_not_moved() -> None:
    axial = SPINE.copy()
    axial[2] += [0, 0, 25]
    assert shift_between(SPINE, axial) is None
    assert (
        shift_between(SPINE, SPINE + np.array([[0, 0, z] for z in (60, -40, 90, 15, -20)])) is None
    )


def test_where_three_levels_of_five_lie_elsewhere_no_one_shift_is_that_of_all() -> None:
    axial = SPINE.copy()
    axial[:3] += [0, 0, 60]
    assert shift_between(SPINE, axial) is None
    axial[3] += [0, 0, 60]
    np.testing.assert_allclose(shift_between(SPINE, axial), [0, 0, 60])


def test_two_levels_tell_nothing() -> None:
    axial = SPINE + np.array([0, 0, 60])
    axial[2:] = np.nan
    assert shift_between(SPINE, axial) is None


def test_no_study_of_hard_geometry_is_taken_for_moved(
    instances: pl.DataFrame, annotations: pl.DataFrame
) -> None:
    assert annotated_moves(instances, annotations).is_empty()


@pytest.mark.parametrize("shift", SHIFTS)
def test_annotations_tell_every_moved_series_and_whereto(
    instances: pl.DataFrame, annotations: pl.DataFrame, shift: tuple[float, float, float]
) -> None:
    there = moved(instances, shift)
    moves = annotated_moves(there, annotations)
    sided = annotations.filter(pl.col("condition").str.contains("subarticular"))
    sagittal = annotations.filter(~pl.col("condition").str.contains("subarticular"))
    both = sided.join(sagittal, on=["study_id", "level"], how="semi")
    levels = both.group_by("study_id", "series_id").agg(pl.col("level").n_unique())
    expected = levels.filter(pl.col("level") >= 2)
    assert len(expected) > 20
    assert set(moves["series_id"]) == set(expected["series_id"])
    np.testing.assert_allclose(moves.select(XYZ).to_numpy(), [shift] * len(moves), atol=4.5)
    back = np.stack(moved_back(there, moves)["position_mm"].to_numpy())
    off = np.linalg.norm(back - np.stack(instances["position_mm"].to_numpy()), axis=1)
    assert off[instances["series_id"].is_in(moves["series_id"].implode()).to_numpy()].max() < 5
    assert (off[(instances["series_description"] != "Axial T2").to_numpy()] == 0).all()
    assert str(moves["study_id"][0]) in describe_moves(moves)


def test_points_of_a_moved_series_are_not_corrected(
    instances: pl.DataFrame, annotations: pl.DataFrame
) -> None:
    index = planned_index(HARD)
    before, after = (
        find_corrections(annotations, Evidence(index.series, each, index.series))
        for each in (instances, moved(instances, (0, 0, 45)))
    )
    assert set(after["row"]) <= set(before["row"])


def test_an_annotation_a_level_off_is_no_move(
    instances: pl.DataFrame, annotations: pl.DataFrame
) -> None:
    down = {"l1_l2": "l2_l3", "l2_l3": "l3_l4", "l3_l4": "l4_l5", "l4_l5": "l5_s1"}
    sided = pl.col("condition").str.contains("subarticular")
    renamed = annotations.filter(~(sided & (pl.col("level") == "l5_s1"))).with_columns(
        level=pl.when(sided).then(pl.col("level").replace(down)).otherwise("level")
    )
    assert annotated_moves(instances, renamed).is_empty()


def test_what_axial_images_teach_lies_where_they_show_it(
    instances: pl.DataFrame, annotations: pl.DataFrame
) -> None:
    shift = (0.0, 0.0, 60.0)
    there = moved(instances, shift)
    moves = annotated_moves(there, annotations)
    places = place_annotations(moved_back(there, moves), annotations)
    shown = as_axial_images_show(places, moves)
    assert shown.columns == places.columns
    studies = moves["study_id"].implode()
    own = pl.col("study_id").is_in(studies)
    apart = shown.filter(own).select(XYZ).to_numpy() - places.filter(own).select(XYZ).to_numpy()
    np.testing.assert_allclose(apart, np.broadcast_to(shift, apart.shape), atol=4.5)
    assert shown.filter(~own).equals(places.filter(~own))


def view(points: np.ndarray, share: float = 0.8) -> View:
    """A view that sees the levels at these points, sure of their names."""
    shares = np.full((5, 5), (1 - share) / 40)
    np.fill_diagonal(shares, share)
    return View(points, shares, np.array([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("shift", SHIFTS)
def test_sagittal_views_alone_place_the_levels_where_the_axial_view_is_moved(
    shift: tuple[float, float, float],
) -> None:
    views = {SAGITTAL: [view(SPINE), view(SPINE)], AXIAL: [view(SPINE + np.array(shift))]}
    chain, found = chain_of_families(views)
    np.testing.assert_allclose(chain.points_mm, SPINE, atol=1e-6)
    np.testing.assert_allclose(found, shift, atol=1e-6)
    assert chain.confidence.min() > 0.5


@pytest.mark.parametrize("missing", [SAGITTAL, AXIAL])
def test_views_of_one_plane_contradict_nobody(missing: str) -> None:
    views = {SAGITTAL: [view(SPINE)], AXIAL: [view(SPINE + np.array([0, 0, 60]))]}
    del views[missing]
    assert np.isinf(chain_of_families(views)[1]).all()


def test_a_nets_finding_moves_all_axial_series_of_the_study(instances: pl.DataFrame) -> None:
    study = instances["study_id"][0]
    moves = predicted_moves(instances, "train", [(study, np.array([0.0, 1.0, 60.0]))])
    axial = instances.filter(study_id=study, series_description="Axial T2")
    assert set(moves["series_id"]) == set(axial["series_id"])
    assert moves.select(*XYZ, "source").unique().rows() == [(0.0, 1.0, 60.0, "predicted")]
