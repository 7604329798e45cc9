"""Level planes compared with the phantom's discs."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.coordinates.level_planes import level_normals, spine_directions
from lsdc.challenges.lumbar.phantom.anatomy import Spine, draw_patient
from lsdc.challenges.lumbar.vocabulary import LEVELS
from tests.geometry.random_planes import Move


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return canal points (5, 3) and the normals of the discs beside them (5, 3)."""
    rng = np.random.default_rng(seed)
    spine = Spine(draw_patient(rng.integers(0, 3, (5, 5)).astype(np.int8), rng))
    normals = []
    for disc in spine.level_discs_mm:
        front, back, left = spine.to_patient(
            np.array([[0.0, 0.0, disc], [0.0, 40.0, disc], [30.0, 0.0, disc]])
        )
        normal = np.cross(left - front, back - front)
        normals.append(normal / np.linalg.norm(normal) * np.sign(normal[2]))
    return spine.canal_points_mm(), np.array(normals)


def tilt_degrees(normals: np.ndarray) -> np.ndarray:
    """Return (...,), the forward tilt of the normals in a sagittal image."""
    return np.degrees(np.arctan2(-normals[..., 1], normals[..., 2]))


def test_level_planes_are_tilted_like_the_discs() -> None:
    points, discs = zip(*map(planted, range(20)), strict=True)
    found = np.stack([spine_directions(study) for study in points])
    error = np.abs(tilt_degrees(found) - tilt_degrees(np.stack(discs)))
    # The canal lies behind the discs, which are tilted by up to 30 degrees; the last one most.
    assert np.abs(tilt_degrees(np.stack(discs))).max() > 25
    assert (np.median(error, axis=0) < [1.5, 1.5, 1.5, 2.5, 6]).all()


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_moving_the_patient_moves_the_normals(count: int) -> None:
    points, _ = planted(1)
    move = Move(3)
    moved = spine_directions(move.points(points[:count]))
    np.testing.assert_allclose(moved, move.directions(spine_directions(points[:count])), atol=1e-9)


def test_straight_spine_has_the_same_tilt_at_every_level() -> None:
    line = np.array([3.0, -20.0, 50.0]) - np.outer([0.0, 30, 66, 99, 131], [0.0, 0.6, 0.8])
    np.testing.assert_allclose(spine_directions(line), np.tile([0, 0.6, 0.8], (5, 1)), atol=1e-9)


def test_normals_keep_the_order_of_points_and_are_per_study() -> None:
    rows = []
    for study in (7, 3):
        points, _ = planted(study)
        rows += [
            {"study_id": study, "level": str(level), "x_mm": x, "y_mm": y, "z_mm": z}
            for level, (x, y, z) in zip(LEVELS, points, strict=True)
        ]
    table = pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=0)
    found = level_normals(table)
    assert found.select("study_id", "level").equals(table.select("study_id", "level"))
    alone = level_normals(table.filter(study_id=3))
    assert found.filter(study_id=3).equals(alone)
    np.testing.assert_allclose(
        np.linalg.norm(found.select("normal_x", "normal_y", "normal_z").to_numpy(), axis=1), 1
    )


def test_single_level_is_not_tilted() -> None:
    assert spine_directions(np.array([[1.0, 2.0, 3.0]])).tolist() == [[0, 0, 1]]
