"""Series that moved against the others of their study, and views that disagree."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdc.challenges.lumbar.coordinates.agreement import agree
from lsdc.challenges.lumbar.coordinates.level_assignment import View
from lsdc.challenges.lumbar.coordinates.moves import (
    annotated_moves,
    describe_moves,
    moved_back,
    odd_ones,
    predicted_moves,
    shift_between,
)
from lsdc.challenges.lumbar.coordinates.spines import describe_disputes, describe_spines
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.quality.corrections import Evidence, find_corrections
from lsdc.challenges.lumbar.vocabulary import LEVELS
from tests.challenges.lumbar.planned import planned_annotations, planned_index

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


def moved(
    instances: pl.DataFrame, shift: tuple[float, float, float], kind: str = "Axial T2"
) -> pl.DataFrame:
    """Return the instances with every series of a kind shifted."""
    own = pl.col("series_description") == kind
    there = pl.lit(pl.Series([shift], dtype=pl.Array(pl.Float64, 3))).first()
    return instances.with_columns(
        position_mm=pl.when(own).then(pl.col("position_mm") + there).otherwise("position_mm")
    )


@given(
    shift=st.tuples(*[st.floats(-250, 250)] * 3),
    noise=st.lists(st.floats(-1.5, 1.5), min_size=15, max_size=15),
)
def test_large_shift_that_is_no_step_between_levels_is_found(
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


def test_difference_at_one_level_is_no_move() -> None:
    axial = SPINE.copy()
    axial[2] += [0, 0, 25]
    assert shift_between(SPINE, axial) is None
    assert (
        shift_between(SPINE, SPINE + np.array([[0, 0, z] for z in (60, -40, 90, 15, -20)])) is None
    )


def test_shift_of_three_of_five_levels_is_no_move() -> None:
    axial = SPINE.copy()
    axial[:3] += [0, 0, 60]
    assert shift_between(SPINE, axial) is None
    axial[3] += [0, 0, 60]
    np.testing.assert_allclose(shift_between(SPINE, axial), [0, 0, 60])


def test_two_levels_are_too_few_for_a_move() -> None:
    axial = SPINE + np.array([0, 0, 60])
    axial[2:] = np.nan
    assert shift_between(SPINE, axial) is None


def test_hard_geometry_has_no_moves(instances: pl.DataFrame, annotations: pl.DataFrame) -> None:
    assert annotated_moves(instances, annotations).is_empty()


@pytest.mark.parametrize("shift", SHIFTS)
def test_annotations_reveal_moved_axial_series(
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
    study, series = moves.select("study_id", "series_id").row(0)
    assert f"0{study}/0{series} " in describe_moves(moves, lambda one: f"0{one}")


def test_points_of_a_moved_series_are_not_corrected(
    instances: pl.DataFrame, annotations: pl.DataFrame
) -> None:
    index = planned_index(HARD)
    before, after = (
        find_corrections(annotations, Evidence(index.series, each, index.series))
        for each in (instances, moved(instances, (0, 0, 45)))
    )
    assert set(after["row"]) <= set(before["row"])


def test_annotations_a_level_off_are_no_move(
    instances: pl.DataFrame, annotations: pl.DataFrame
) -> None:
    down = {"l1_l2": "l2_l3", "l2_l3": "l3_l4", "l3_l4": "l4_l5", "l4_l5": "l5_s1"}
    sided = pl.col("condition").str.contains("subarticular")
    renamed = annotations.filter(~(sided & (pl.col("level") == "l5_s1"))).with_columns(
        level=pl.when(sided).then(pl.col("level").replace(down)).otherwise("level")
    )
    assert annotated_moves(instances, renamed).is_empty()


@pytest.mark.parametrize("shift", SHIFTS)
def test_annotations_reveal_a_moved_sagittal_series(
    instances: pl.DataFrame, annotations: pl.DataFrame, shift: tuple[float, float, float]
) -> None:
    moves = annotated_moves(moved(instances, shift, "Sagittal T1"), annotations)
    canal = annotations.filter(condition="spinal_canal_stenosis").select("study_id", "level")
    foramina = annotations.filter(pl.col("condition").str.contains("foraminal")).join(
        canal, on=["study_id", "level"], how="semi"
    )
    cells = foramina.group_by("study_id", "series_id", "level").len().filter(pl.col("len") == 2)
    told = cells.group_by("study_id", "series_id").len().filter(pl.col("len") >= 2)
    assert len(told) > 15
    assert set(told["series_id"]) <= set(moves["series_id"])
    own = moves.filter(pl.col("study_id").is_in(told["study_id"].implode()))
    assert set(own["series_id"]) == set(told["series_id"])
    np.testing.assert_allclose(own.select(XYZ).to_numpy(), [shift] * len(own), atol=6.0)


def test_sagittal_series_contradicted_by_axial_images_has_moved() -> None:
    there = SPINE + np.array([0.0, 0.0, 60.0])
    assert odd_ones({1: SPINE, 2: there}, SPINE).keys() == {2}
    assert odd_ones({1: there, 2: SPINE}, SPINE).keys() == {1}
    nowhere = np.full_like(SPINE, np.nan)
    assert odd_ones({1: there, 2: SPINE}, nowhere).keys() == {
        2
    }  # in a tie the first series is the reference
    assert odd_ones({1: SPINE, 2: SPINE + 1.0}, nowhere) == {}
    assert odd_ones({1: SPINE}, there) == {}


def view(points: np.ndarray, share: float = 0.8) -> View:
    """Return a view that detects the levels at these points with confident names."""
    shares = np.full((5, 5), (1 - share) / 40)
    np.fill_diagonal(shares, share)
    return View(points, shares, np.array([1.0, 0.0, 0.0]))


def both(one: View, other: View) -> View:
    """Return the two views as one view of a single stack."""
    places = np.concatenate([one.places_mm, other.places_mm])
    return View(places, np.concatenate([one.shares, other.shares]) / 2, one.normal)


@pytest.mark.parametrize("shift", SHIFTS)
def test_moved_axial_view_does_not_affect_the_levels(
    shift: tuple[float, float, float],
) -> None:
    axial = view(SPINE + np.array(shift))
    said = agree({1: view(SPINE), 2: view(SPINE)}, axial, {3: axial})
    np.testing.assert_allclose(said.chain.points_mm, SPINE, atol=1e-6)
    assert said.moves.keys() == {3}
    np.testing.assert_allclose(said.moves[3], shift, atol=1e-6)
    assert said.chain.confidence.min() > 0.5
    assert not said.disputed.any()


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("odd", [1, 2])
def test_moved_sagittal_view_is_moved_back(odd: int, shift: tuple[float, float, float]) -> None:
    sagittal = {1: view(SPINE), 2: view(SPINE)} | {odd: view(SPINE + np.array(shift))}
    said = agree(sagittal, view(SPINE), {3: view(SPINE)})
    np.testing.assert_allclose(said.chain.points_mm, SPINE, atol=1e-6)
    assert said.moves.keys() == {odd}
    np.testing.assert_allclose(said.moves[odd], shift, atol=1e-6)
    assert said.chain.confidence.min() > 0.5


@pytest.mark.parametrize("shift", SHIFTS)
def test_moved_one_of_two_axial_series_is_moved_back(
    shift: tuple[float, float, float],
) -> None:
    there = view(SPINE + np.array(shift))
    said = agree({1: view(SPINE)}, both(view(SPINE), there), {3: view(SPINE), 4: there})
    np.testing.assert_allclose(said.chain.points_mm, SPINE, atol=1e-6)
    assert said.moves.keys() == {4}
    np.testing.assert_allclose(said.moves[4], shift, atol=1e-6)


@pytest.mark.parametrize("missing", ["sagittal", "axial"])
def test_views_of_one_plane_have_no_disputes(missing: str) -> None:
    there = view(SPINE + np.array([0, 0, 60]))
    axial_alone = agree({}, there, {3: there})
    said = axial_alone if missing == "sagittal" else agree({1: view(SPINE)}, None, {})
    assert said.moves == {}
    assert not said.disputed.any()


def test_bent_patient_is_disputed_and_the_more_confident_views_used() -> None:
    """The patient bent between the series, so every level has a different shift."""
    bent = SPINE + np.array([[0, y, 0] for y in (45.0, 25.0, 2.0, -22.0, -44.0)])
    for sagittal, axial in ((0.9, 0.6), (0.6, 0.9)):
        other = view(bent, axial)
        said = agree({1: view(SPINE, sagittal)}, other, {3: other})
        expected = SPINE if sagittal > axial else bent
        np.testing.assert_allclose(said.chain.points_mm, expected, atol=1e-6)
        assert said.moves == {}
        assert said.disputed.tolist() == [True, True, False, True, True]
        assert (said.chain.confidence[said.disputed] <= 0.5).all()
        assert said.chain.confidence[2] > 0.5


def test_single_disputed_level_is_named() -> None:
    axial = SPINE.copy()
    axial[2] += [0, 25.0, 0]
    said = agree({1: view(SPINE)}, view(axial), {3: view(axial)})
    assert said.disputed.tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(said.chain.points_mm[[0, 1, 3, 4]], SPINE[[0, 1, 3, 4]], atol=1.5)
    spines = describe_spines(
        pl.DataFrame(
            {"split": "test", "study_id": 7, "level": LEVELS, "source": "predicted"}
        ).hstack(pl.DataFrame(said.chain.points_mm, schema=XYZ)),
        {},
        disputed={7: said.disputed},
    )
    assert "7 (l3_l4)" in (describe_disputes(spines) or "")
    assert "007 (l3_l4)" in (describe_disputes(spines, lambda one: f"00{one}") or "")
    assert describe_disputes(spines.with_columns(disputed_levels=pl.lit(""))) is None


def test_predicted_move_affects_only_its_series(instances: pl.DataFrame) -> None:
    study, series = instances.select("study_id", "series_id").row(0)
    moves = predicted_moves("train", [(study, series, np.array([0.0, 1.0, 60.0]))])
    assert moves.rows() == [("train", study, series, 0.0, 1.0, 60.0, "predicted")]
    back = np.stack(moved_back(instances, moves)["position_mm"].to_numpy())
    off = back - np.stack(instances["position_mm"].to_numpy())
    own = (instances["series_id"] == series).to_numpy()
    np.testing.assert_allclose(off[own], [[0.0, -1.0, -60.0]] * own.sum())
    assert (off[~own] == 0).all()
