"""Points taken from annotations."""

import numpy as np
import polars as pl
import pydicom

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.level_points import known_points
from lsdc.challenges.lumbar.vocabulary import LEVELS
from tests.challenges.lumbar.coordinates.made_series import (
    CANAL,
    XYZ,
    annotations_of,
    sagittal_instances,
)
from tests.challenges.lumbar.planned import used


def test_canal_annotations_become_points_in_mm():
    points = annotated_points(sagittal_instances(), annotations_of(CANAL))
    assert points["source"].to_list() == ["annotated"] * 5
    assert points["level"].to_list() == [str(level) for level in LEVELS]
    assert points["confidence"].to_list() == [1.0] * 5
    expected = [[0.0, -10.0, 90.0 - 2 * (10 + 17 * k)] for k in range(5)]
    np.testing.assert_allclose(points.select(XYZ).to_numpy(), expected)


def test_missing_canal_point_is_derived_from_the_foramina():
    sides = [
        (0, "left_neural_foraminal_narrowing", "l3_l4", 28.0, 40.0),
        (8, "right_neural_foraminal_narrowing", "l3_l4", 32.0, 42.0),
    ]
    rows = [row for row in CANAL if row[2] != "l3_l4"]
    points = annotated_points(sagittal_instances(), annotations_of(rows + sides))
    level = points.filter(level="l3_l4")
    assert level["source"].to_list() == ["filled"]
    np.testing.assert_allclose(level.select(XYZ).to_numpy(), [[0.0, -10.0 + 4.0, 8.0 - 5.0]])


def test_one_foramen_alone_gives_no_canal_point():
    rows = [row for row in CANAL if row[2] != "l3_l4"]
    side = [(0, "left_neural_foraminal_narrowing", "l3_l4", 28.0, 40.0)]
    points = annotated_points(sagittal_instances(), annotations_of(rows + side))
    level = points.filter(level="l3_l4")
    assert level["source"].to_list() == ["filled"]
    np.testing.assert_allclose(level.select(XYZ).to_numpy(), [[0.0, -10.0, 90 - 2 * 44.0]])


def test_annotations_of_missing_images_are_dropped():
    gone = [(99, *row[1:]) for row in CANAL]
    assert annotated_points(sagittal_instances(), annotations_of(gone)).is_empty()


def test_levels_of_the_real_study_are_ordered_and_a_vertebra_apart(real_data):
    competition = open_competition(real_data / "competition")
    rows = []
    for study, series in competition.annotations.select("study_id", "series_id").unique().rows():
        folder = competition.root / f"train_images/{study}/{series}"
        for path in sorted(folder.glob("*.dcm")):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            rows.append(
                {
                    "study_id": study,
                    "series_id": series,
                    "instance_number": int(path.stem),
                    "rows": int(header.Rows),
                    "columns": int(header.Columns),
                    "row_spacing_mm": float(header.PixelSpacing[0]),
                    "column_spacing_mm": float(header.PixelSpacing[1]),
                    "position_mm": [float(value) for value in header.ImagePositionPatient],
                    "orientation": [float(value) for value in header.ImageOrientationPatient],
                }
            )
    arrays = {"position_mm": pl.Array(pl.Float64, 3), "orientation": pl.Array(pl.Float64, 6)}
    table = pl.DataFrame(rows, schema_overrides=arrays).with_columns(split=pl.lit("train"))
    instances = used(table.join(competition.series, on=["split", "study_id", "series_id"]))
    points = annotated_points(instances, competition.annotations)
    assert points["study_id"].unique().to_list() == [100206310]
    assert points["source"].to_list() == ["annotated"] * 5
    steps = np.diff(points.select(XYZ).to_numpy(), axis=0)
    assert (steps[:, 2] < 0).all()
    assert ((np.linalg.norm(steps, axis=1) > 22) & (np.linalg.norm(steps, axis=1) < 45)).all()
    # The middle derived from the sides must be near the annotated canal point.
    places = place_annotations(instances, competition.annotations)
    _, middles, _ = known_points(places.filter(pl.col("condition") != "spinal_canal_stenosis"))
    apart = np.linalg.norm(middles[0] - points.select(XYZ).to_numpy(), axis=1)
    assert (apart < 15).all()
