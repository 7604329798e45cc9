"""Invariances of the choice of slices in patient space, on planned phantom studies."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lsdc.challenges.lumbar.config.experiment import Axial, Sagittal, SlicesConfig
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.slices.slots import list_places, mirrored_places
from lsdc.challenges.lumbar.vocabulary import Condition
from tests.challenges.lumbar.planned_patients import Patients, plan_patients

XYZ = ["x_mm", "y_mm", "z_mm"]
SLICE = ["study_id", "level", "place", "series_id", "instance_number"]
# Methods that depend neither on rows nor on instance numbers nor on the patient's position.
BY_PLACE: list[dict[str, Any]] = [
    {},
    {"group_by": "side"},
    {"origin": "scan"},
    {"sagittal": "landmark", "axial": "proportion"},
    {"sagittal": "argmin", "argmin_offset": 1, "axial": "argmin"},
    {"sagittal": "quantiles"},
    {"sagittal": "even", "side_slices": 0},
]
# A turn of the patient changes the height of ImagePositionPatient, at a corner of the image.
BY_HEIGHT = {"axial": "height"}


@pytest.mark.parametrize(("setting", "ways"), [("sagittal", Sagittal), ("axial", Axial)])
def test_laws_are_tested_for_each_way_of_choosing(setting: str, ways: object) -> None:
    default = SlicesConfig.model_fields[setting].default
    assert {way.get(setting, default) for way in [*BY_PLACE, BY_HEIGHT]} == {*get_args(ways)}


@pytest.fixture(scope="module")
def patients() -> Patients:
    """Plan nine patients: scoliotic, oblique, in any slice order, some incomplete."""
    return plan_patients(9, seed=5)


def chosen(
    instances: pl.DataFrame,
    points: pl.DataFrame,
    landmarks: pl.DataFrame,
    config: SlicesConfig,
) -> pl.DataFrame:
    with TemporaryDirectory() as folder:
        measure_offsets(instances, points, None, Path(folder), landmarks=landmarks)
        slices = pl.read_parquet(Path(folder) / "slices.parquet")
    return choose_slices(slices, config).select(SLICE)


def moved(table: pl.DataFrame, turn: np.ndarray, shift: np.ndarray) -> pl.DataFrame:
    """Return instances or points of a patient who is rotated, perhaps mirrored, and shifted."""
    if "x_mm" in table.columns:
        place = table.select(XYZ).to_numpy() @ turn.T + shift
        return table.with_columns(pl.Series(name, place[:, i]) for i, name in enumerate(XYZ))
    directions = table["orientation"].to_numpy().reshape(-1, 2, 3) @ turn.T
    return table.with_columns(
        pl.Series("position_mm", table["position_mm"].to_numpy() @ turn.T + shift).cast(
            pl.Array(pl.Float64, 3)
        ),
        pl.Series("orientation", directions.reshape(-1, 6)).cast(pl.Array(pl.Float64, 6)),
    )


@pytest.mark.parametrize("way", BY_PLACE, ids=str)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_moving_the_patient_does_not_change_the_choice(
    patients: Patients, way: dict[str, Any], seed: int
) -> None:
    random = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(np.radians(random.uniform(-5, 5, 3))).as_matrix()
    shift = random.uniform(-500, 500, 3)
    config = SlicesConfig(**way)
    instances, points, landmarks = patients.instances, patients.points, patients.landmarks
    before = chosen(instances, points, landmarks, config)
    tables = (instances, points, landmarks)
    assert chosen(*(moved(table, turn, shift) for table in tables), config).equals(before)


@pytest.mark.parametrize("way", [*BY_PLACE, BY_HEIGHT], ids=str)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_row_order_and_instance_numbers_do_not_change_the_choice(
    patients: Patients, way: dict[str, Any], seed: int
) -> None:
    config = SlicesConfig(**way)
    instances, points, landmarks = patients.instances, patients.points, patients.landmarks
    before = chosen(instances, points, landmarks, config)
    numbers = instances.select(
        "series_id",
        "instance_number",
        other=pl.col("instance_number").shuffle(seed % 2**31).over("series_id"),
    )
    key = ["series_id", "instance_number"]
    renumbered = (
        instances.join(numbers, on=key)
        .with_columns(instance_number="other")
        .sample(fraction=1, shuffle=True, seed=seed % 2**31)
    )
    after = chosen(renumbered.drop("other"), points.sample(fraction=1, seed=1), landmarks, config)
    back = after.join(
        numbers.rename({"instance_number": "was", "other": "instance_number"}), on=key
    ).with_columns(instance_number="was")
    assert back.select(SLICE).sort(SLICE).equals(before.sort(SLICE))


@pytest.mark.parametrize(
    "way",
    [
        # Quantiles of a series and their mirror image may be one slice apart.
        *(way for way in BY_PLACE if way.get("sagittal") not in ("quantiles", "even")),
        BY_HEIGHT,
        {"t1_middle": False, "t2_sides": False, "middle_slices": 3},
        {"sagittal": "argmin", "argmin_offset": 1, "stack_order": "instances"},
        {"sagittal": "quantiles", "stack_order": "instances"},
        {"sagittal": "even", "side_slices": 0, "stack_order": "instances"},
    ],
    ids=str,
)
def test_mirrored_patient_gets_mirrored_slots(patients: Patients, way: dict[str, Any]) -> None:
    config = SlicesConfig(**way)
    instances, points, landmarks = patients.instances, patients.points, patients.landmarks
    before = chosen(instances, points, landmarks, config)
    mirror, nowhere = np.diag([-1.0, 1.0, 1.0]), np.zeros(3)
    swap = {str(condition): str(condition.mirrored) for condition in Condition}
    after = chosen(
        moved(instances, mirror, nowhere),
        moved(points, mirror, nowhere),
        moved(landmarks, mirror, nowhere).with_columns(pl.col("condition").replace_strict(swap)),
        config,
    )
    assert len(before) > 300
    expected = before.with_columns(
        # `mirrored_places` is its own inverse, so the direction of the mapping does not matter.
        place=pl.col("place").replace_strict(
            dict(enumerate(mirrored_places(config))), return_dtype=pl.Int32
        )
    )
    assert after.sort(SLICE).equals(expected.sort(SLICE))
    if way.get("stack_order") != "instances":
        sagittal = sum(place.part != "axial" for place in list_places(config))
        assert not after.filter(pl.col("place") < sagittal).equals(
            before.filter(pl.col("place") < sagittal)
        )
