"""Landmarks: position and slice of each condition of a level, and the nets' training targets."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations, planes_of
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.keypoint_targets import (
    ANCHORS,
    FAMILIES,
    POINTS_OF_NET,
    boxes_mm,
    training_targets,
)
from lsdc.challenges.lumbar.coordinates.landmarks import (
    Landmarks,
    Sides,
    annotated_landmarks,
    join_landmarks,
    shown_on_images,
)
from lsdc.challenges.lumbar.coordinates.point_tables import Points
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition
from tests.challenges.lumbar.conftest import Walked
from tests.challenges.lumbar.coordinates.made_series import (
    CANAL,
    annotations_of,
    sagittal_instances,
)

XYZ = ["x_mm", "y_mm", "z_mm"]
KEY = ["study_id", "condition", "level"]
NOTHING = pl.DataFrame(schema=pl.Schema(Sides))


@pytest.fixture(scope="module")
def instances(walked: Walked) -> pl.DataFrame:
    return walked.table("instances")


@pytest.fixture(scope="module")
def landmarks(walked: Walked, instances: pl.DataFrame) -> pl.DataFrame:
    return annotated_landmarks(walked.points, instances, walked.competition.annotations)


def test_every_level_has_one_row_per_condition_in_order(
    walked: Walked, landmarks: pl.DataFrame
) -> None:
    assert landmarks.schema == pl.Schema(Landmarks)
    assert len(landmarks) == 5 * len(walked.points)
    for _, own in landmarks.group_by("study_id"):
        rows = own.select("condition", "level").rows()
        assert rows == [(str(c), str(level)) for c in CONDITIONS for level in LEVELS]


def test_annotated_landmarks_stay_on_their_annotated_slice(
    walked: Walked, landmarks: pl.DataFrame
) -> None:
    both = landmarks.join(walked.competition.annotations, on=KEY, suffix="_given")
    assert len(both) == len(walked.competition.annotations)
    assert set(both["source"]) == {"annotated"}
    for name in ("series_id", "instance_number"):
        assert (both[name] == both[f"{name}_given"]).all()
    for name in ("x_px", "y_px"):
        np.testing.assert_allclose(both[name], both[f"{name}_given"], atol=1e-6)


def test_annotated_canal_landmark_has_the_distance_to_its_slice(
    walked: Walked, instances: pl.DataFrame, landmarks: pl.DataFrame
) -> None:
    canal = landmarks.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS), source="annotated")
    slices = canal.join(instances, on=["study_id", "series_id", "instance_number"])
    away = np.abs(planes_of(slices).signed_distance(slices.select(XYZ).to_numpy()))
    assert away.max() > 0.2
    np.testing.assert_allclose(slices["distance_mm"], away, atol=1e-9)


def test_level_point_that_contradicts_its_annotation_is_not_annotated() -> None:
    rows = [list(row) for row in CANAL]
    rows[2][4] = rows[1][4]  # L3/L4 marked at the height of L2/L3
    instances, annotations = sagittal_instances(), annotations_of([tuple(row) for row in rows])
    points = annotated_points(instances, annotations)
    landmarks = annotated_landmarks(points, instances, annotations)
    canal = landmarks.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    assert canal["source"].to_list() == points["source"].to_list()
    assert canal["confidence"].to_list() == points["confidence"].to_list()
    filled = canal.filter(source="filled").row(0, named=True)
    assert filled["y_px"] == pytest.approx(45.0 - filled["z_mm"] / 2)


def test_canal_landmark_is_the_level_point(walked: Walked, landmarks: pl.DataFrame) -> None:
    canal = landmarks.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    both = canal.join(walked.points, on=["study_id", "level"], suffix="_point")
    assert len(both) == len(walked.points)
    for name in XYZ:
        assert (both[name] == both[f"{name}_point"]).all()


def test_landmark_is_projected_onto_the_nearest_slice_of_its_kind(
    walked: Walked, instances: pl.DataFrame
) -> None:
    landmarks = join_landmarks(walked.points, NOTHING, instances).drop_nulls("series_id")
    slices = landmarks.join(instances, on=["study_id", "series_id", "instance_number"])
    planes, places = planes_of(slices), slices.select(XYZ).to_numpy()
    np.testing.assert_allclose(
        planes.to_pixel(places), slices.select("x_px", "y_px").to_numpy(), atol=1e-9
    )
    np.testing.assert_allclose(
        np.abs(planes.signed_distance(places)), slices["distance_mm"].to_numpy(), atol=1e-9
    )
    kinds = dict(slices.select("condition", "series_description").unique().iter_rows())
    assert kinds["spinal_canal_stenosis"] == "Sagittal T2/STIR"
    assert kinds["right_neural_foraminal_narrowing"] == "Sagittal T1"
    assert kinds["left_subarticular_stenosis"] == "Axial T2"
    # No other slice of that kind whose image contains the point is nearer.
    pairs = landmarks.select(*KEY, *XYZ, "distance_mm").join(instances, on="study_id")
    pairs = pairs.filter(pl.col("series_description") == pl.col("condition").replace_strict(kinds))
    away = np.abs(planes_of(pairs).signed_distance(pairs.select(XYZ).to_numpy()))
    at = planes_of(pairs).to_pixel(pairs.select(XYZ).to_numpy())
    inside = (at >= 0) & (at <= pairs.select("columns", "rows").to_numpy() - 1)
    assert (away >= pairs["distance_mm"].to_numpy() - 1e-9)[inside.all(axis=1)].all()


def test_landmark_without_its_series_has_a_position_and_no_slice(
    walked: Walked, instances: pl.DataFrame
) -> None:
    without = instances.filter(pl.col("series_description") != "Sagittal T1")
    landmarks = join_landmarks(walked.points, NOTHING, without)
    foraminal = landmarks.filter(pl.col("condition").str.contains("foraminal"))
    assert foraminal["series_id"].null_count() == len(foraminal)
    assert foraminal["x_mm"].null_count() == 0


def test_detected_sides_replace_typical_ones(walked: Walked, instances: pl.DataFrame) -> None:
    study = walked.points["study_id"][0]
    condition = str(Condition.LEFT_SUBARTICULAR_STENOSIS)
    seen = pl.DataFrame(
        [(study, condition, "l4_l5", 1.0, 2.0, 3.0, 0.7)], schema=pl.Schema(Sides), orient="row"
    )
    landmarks = join_landmarks(walked.points, seen, instances)
    own = landmarks.filter(study_id=study, condition=condition)
    assert own["source"].to_list() == ["filled"] * 3 + ["predicted", "filled"]
    assert own.filter(level="l4_l5").select(*XYZ, "confidence").row(0) == (1.0, 2.0, 3.0, 0.7)
    filled = landmarks.filter(pl.col("study_id") != study)
    left = filled.filter(condition=condition)["x_mm"]
    right = filled.filter(condition=str(Condition.RIGHT_SUBARTICULAR_STENOSIS))["x_mm"]
    assert (left > right).all()


def test_only_filled_levels_outside_the_images_are_dropped(
    walked: Walked, instances: pl.DataFrame
) -> None:
    study = walked.points["study_id"][0]
    far = pl.col("z_mm") - 400.0
    sources = {"l5_s1": "filled", "l4_l5": "predicted"}
    points = walked.points.filter(study_id=study).with_columns(
        pl.when(pl.col("level").is_in(list(sources))).then(far).otherwise("z_mm").alias("z_mm"),
        source=pl.col("level")
        .replace(sources)
        .replace([level for level in map(str, LEVELS) if level not in sources], "filled"),
    )
    kept = shown_on_images(points, instances)["level"].to_list()
    assert kept == ["l1_l2", "l2_l3", "l3_l4", "l4_l5"]
    assert shown_on_images(pl.DataFrame(schema=pl.Schema(Points)), instances).is_empty()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_training_targets_match_the_answers_and_sides_lie_in_boxes(
    walked: Walked, instances: pl.DataFrame, phantom: Path, family
) -> None:
    places = place_annotations(instances, walked.competition.annotations)
    answers = pl.read_csv(phantom / "answers" / "points.csv")
    name = {"sagittal": "foramen", "axial": "recess"}[family.name]
    boxes = boxes_mm(family)
    assert (boxes[:5, 0, 0] > 0).all()
    assert (boxes[5:, 1, 0] < 0).all()
    taught = training_targets(places, family)
    sides = 0
    for study, points in taught.items():
        assert points.shape == (POINTS_OF_NET, 3)
        own = answers.filter(study_id=study)
        true = np.concatenate(
            [
                own.select(f"{prefix}{axis}_mm" for axis in "xyz").to_numpy()
                for prefix in ("", f"left_{name}_", f"right_{name}_")
            ]
        )
        known = np.isfinite(points[:, 0])
        assert np.linalg.norm((points - true)[known], axis=1).max() < 6
        offsets = points[5:] - points[ANCHORS]
        inside = (offsets >= boxes[:, 0]) & (offsets <= boxes[:, 1])
        assert inside[known[5:]].all()
        sides += known[5:].sum()
    assert sides >= 40


def test_swapped_sides_are_no_training_targets(walked: Walked, instances: pl.DataFrame) -> None:
    family = FAMILIES[0]
    swapped = walked.competition.annotations.with_columns(
        pl.col("condition").replace(
            {str(family.left): str(family.right), str(family.right): str(family.left)}
        )
    )
    for points in training_targets(place_annotations(instances, swapped), family).values():
        assert np.isnan(points[5:]).all()


def test_annotated_points_drop_levels_outside_the_images(
    walked: Walked, instances: pl.DataFrame
) -> None:
    study = walked.points["study_id"][0]
    upper = [str(level) for level in LEVELS[:2]]
    annotations = walked.competition.annotations.filter(
        pl.col("level").is_in(upper), study_id=study
    )
    points = annotated_points(instances.filter(study_id=study), annotations)
    assert points.filter(source="annotated")["level"].to_list() == upper
