from typing import Any

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.midline import centre_on_midline

XYZ = ["x_mm", "y_mm", "z_mm"]
SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
CANAL = "spinal_canal_stenosis"
LEFT, RIGHT = "left_subarticular_stenosis", "right_subarticular_stenosis"
FORAMINA = "left_neural_foraminal_narrowing", "right_neural_foraminal_narrowing"

Point = tuple[str, int, list[float]]  # condition, instance number, place in mm


def tables(points: list[Point], planes: dict[int, list[float]]) -> tuple[pl.DataFrame, ...]:
    """Return placed annotations of one level, and instances by number and orientation."""
    ids = {"split": "train", "study_id": 1, "series_id": 2}
    places = pl.DataFrame(
        [
            {**ids, "instance_number": number, "condition": condition, "level": "l4_l5"}
            | dict(zip(XYZ, place, strict=True))
            for condition, number, place in points
        ]
    )
    instances = pl.DataFrame(
        [
            {**ids, "instance_number": number, "row_spacing_mm": 1.0, "column_spacing_mm": 1.0}
            | {"position_mm": [0.0, 0.0, 0.0], "orientation": orientation}
            for number, orientation in planes.items()
        ],
        schema_overrides={
            "position_mm": pl.Array(pl.Float64, 3),
            "orientation": pl.Array(pl.Float64, 6),
        },
    )
    return places, instances


def centred(points: list[Point], planes: dict[int, list[float]]) -> list[float]:
    """Return the corrected position of the canal point."""
    table = centre_on_midline(*tables(points, planes))
    assert len(table) == len(points)
    others = pl.col("condition") != CANAL
    assert table.filter(others).equals(tables(points, planes)[0].filter(others))
    return table.filter(condition=CANAL).select(XYZ).row(0)


PLANES = {1: SAGITTAL, 2: AXIAL, 3: AXIAL, 4: AXIAL}


def test_canal_point_moves_across_its_slice_to_the_middle_of_its_sides() -> None:
    points = [
        (CANAL, 1, [4.0, 10.0, 100.0]),
        (LEFT, 2, [18.0, 6.0, 101.0]),
        (RIGHT, 2, [-2.0, 6.0, 101.0]),
    ]
    assert centred(points, PLANES) == pytest.approx([8.0, 10.0, 100.0])


def test_canal_point_moves_half_way_to_the_middle_of_the_foramina() -> None:
    foramina = [(FORAMINA[0], 5, [26.0, 6.0, 105.0]), (FORAMINA[1], 6, [-6.0, 6.0, 105.0])]
    sagittal = PLANES | {5: SAGITTAL, 6: SAGITTAL}
    canal = (CANAL, 1, [4.0, 10.0, 100.0])
    assert centred([canal, *foramina], sagittal) == pytest.approx([7.0, 10.0, 100.0])
    zones = [(LEFT, 2, [18.0, 6.0, 101.0]), (RIGHT, 2, [-2.0, 6.0, 101.0])]
    assert centred([canal, *foramina, *zones], sagittal) == pytest.approx([8.0, 10.0, 100.0])
    # 40 mm to the middle: one of the three is wrong.
    strays = [(FORAMINA[0], 5, [60.0, 6.0, 105.0]), (FORAMINA[1], 6, [28.0, 6.0, 105.0])]
    assert centred([canal, *strays], sagittal) == pytest.approx([4.0, 10.0, 100.0])


def test_side_points_may_lie_on_two_parallel_slices() -> None:
    points = [
        (CANAL, 1, [4.0, 10.0, 100.0]),
        (LEFT, 2, [18.0, 6.0, 98.0]),
        (RIGHT, 3, [-2.0, 6.0, 102.0]),
    ]
    assert centred(points, PLANES) == pytest.approx([8.0, 10.0, 100.0])


def test_canal_point_moves_along_the_normal_of_an_oblique_slice() -> None:
    turn = np.radians(15.0)
    oblique = [-np.sin(turn), np.cos(turn), 0.0, 0.0, 0.0, -1.0]
    truth, normal = np.array([8.0, 10.0, 100.0]), np.array([np.cos(turn), np.sin(turn), 0.0])
    points = [
        (CANAL, 1, (truth - 2.3 * normal).tolist()),
        (LEFT, 2, [18.0, 10.0, 101.5]),
        (RIGHT, 2, [-2.0, 10.0, 101.5]),
    ]
    assert centred(points, {1: oblique, 2: AXIAL}) == pytest.approx(truth.tolist())


STAYS: dict[str, Any] = {
    "one side alone": [(LEFT, 2, [18.0, 6.0, 101.0])],
    "sides that contradict it": [(LEFT, 2, [31.0, 6.0, 101.0]), (RIGHT, 2, [11.0, 6.0, 101.0])],
    "both sides at one place": [(LEFT, 2, [8.0, 6.0, 101.0]), (RIGHT, 2, [8.0, 6.0, 101.0])],
    "sides on slices turned against each other": [
        (LEFT, 2, [18.0, 6.0, 101.0]),
        (RIGHT, 5, [-2.0, 6.0, 101.0]),
    ],
    "sides on slices along its own": [(LEFT, 6, [9.0, 6.0, 99.0]), (RIGHT, 6, [9.0, 6.0, 101.0])],
}


@pytest.mark.parametrize("because", STAYS)
def test_canal_point_stays_without_evidence(because: str) -> None:
    tilted = [1.0, 0.0, 0.0, 0.0, np.cos(0.3), np.sin(0.3)]
    canal = (CANAL, 1, [4.0, 10.0, 100.0])
    planes = {**PLANES, 5: tilted, 6: SAGITTAL}
    assert centred([canal, *STAYS[because]], planes) == pytest.approx([4.0, 10.0, 100.0])
