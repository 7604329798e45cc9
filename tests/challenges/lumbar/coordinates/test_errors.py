"""Errors of predicted points, in mm and in slices."""

import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.errors import PointErrors, measure_errors
from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks


@pytest.fixture(scope="module")
def planted(walked) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return instances, places, and landmarks that are off by (1, -2, 3) mm."""
    instances, annotations = walked.table("instances"), walked.competition.annotations
    points = annotated_points(instances, annotations)
    places = place_annotations(instances, annotations)
    exact = annotated_landmarks(points, instances, annotations)
    xyz = ["x_mm", "y_mm", "z_mm"]
    places = places.unique(["study_id", "condition", "level"], keep="first")
    marked = exact.drop(xyz).join(
        places.select("study_id", "condition", "level", *xyz), on=["study_id", "condition", "level"]
    )
    off = (pl.col(name) + by for name, by in zip(xyz, (1.0, -2.0, 3.0), strict=True))
    return instances, places, marked.with_columns(off)


def test_errors_are_predicted_minus_annotated_positions(planted) -> None:
    instances, places, landmarks = planted
    errors = measure_errors(landmarks, places, instances)
    PointErrors.check(errors)
    assert len(errors) == len(landmarks) > 100
    for axis, by in (("x_mm", 1.0), ("y_mm", -2.0), ("z_mm", 3.0)):
        assert errors[axis].to_list() == pytest.approx([by] * len(errors))


def test_errors_in_slices_are_relative_to_the_distance_of_slices(planted) -> None:
    instances, places, landmarks = planted
    errors = measure_errors(landmarks, places, instances)
    used = instances.filter(pl.col("used_as").str.starts_with("Sagittal"))
    # Sagittal slices are at equal steps along x, or nearly: so is the extent of a stack.
    stack = ["study_id", "series_id", "stack"]
    extent = used.group_by(stack).agg(
        step=(pl.col("position_mm").arr.get(0).max() - pl.col("position_mm").arr.get(0).min())
        / (pl.len() - 1)
    )
    steps = extent.group_by("study_id").agg(pl.col("step").median())
    both = errors.drop_nulls("sagittal_slices").join(steps, on="study_id")
    assert len(both) > 100
    ratio = both["sagittal_slices"] * both["step"]  # the planted 1 mm
    assert ratio.is_between(0.85, 1.15).mean() > 0.9
    axial = errors["axial_slices"].drop_nulls()
    assert axial.is_between(3 / 8, 3 / 2).all()


def test_points_without_an_annotation_have_no_error(planted) -> None:
    instances, places, landmarks = planted
    some = places.filter(pl.col("level") != "l4_l5")
    errors = measure_errors(landmarks, some, instances)
    assert set(errors["level"]) == {"l1_l2", "l2_l3", "l3_l4", "l5_s1"}
    assert measure_errors(landmarks, places.clear(), instances).is_empty()
