"""Hard geometry: planted poses, and their tables and answers."""

import csv
from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.lumbar.phantom.anatomy import Spine, draw_patient
from lsdc.challenges.lumbar.phantom.build import measure
from lsdc.challenges.lumbar.phantom.planning import SeriesPlan
from lsdc.challenges.lumbar.phantom.pose import Pose, pose_of
from lsdc.challenges.lumbar.phantom.study import Order, plan_studies
from lsdc.challenges.lumbar.phantom.tables import StudyRecord, annotation_rows
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.vocabulary import LEVELS

HARD = Order(studies=60, test=4, seed=5, grades="balanced", max_size=64, geometry="hard")


@pytest.fixture(scope="module")
def records() -> list[StudyRecord]:
    return plan_studies(HARD)


def plans(record: StudyRecord, kind: str) -> list[SeriesPlan]:
    return [plan for _, plan in record.series if kind in plan.description]


def turn_degrees(plan: SeriesPlan) -> float:
    """Return the angle between the slices and an exactly sagittal plane."""
    return float(np.degrees(np.arccos(abs(plan.planes[0].normal[0]))))


def test_usual_geometry_uses_no_random_numbers() -> None:
    rng = np.random.default_rng(0)
    assert pose_of(7, "train", "usual", rng) == Pose()
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_slices_are_oblique_to_both_sides(records: list[StudyRecord]) -> None:
    turns = [turn_degrees(plan) for record in records for plan in plans(record, "Sagittal")]
    assert 10 < max(turns) < 20
    ways = {
        np.sign(plan.planes[0].row_direction[0])
        for record in records
        for plan in plans(record, "Sagittal")
    }
    assert ways == {-1.0, 1.0}


def test_some_spines_are_scoliotic(records: list[StudyRecord]) -> None:
    bows = [np.ptp(record.spine.canal_points_mm()[:, 0]) for record in records]
    assert max(bows) > 20


def test_series_are_missing_and_patients_lie_in_both_positions(records: list[StudyRecord]) -> None:
    kinds = {
        tuple(bool(plans(record, kind)) for kind in ("T1", "T2/STIR", "Axial"))
        for record in records
    }
    assert {
        (True, True, True),
        (False, True, True),
        (True, False, True),
        (False, False, True),
        (True, True, False),
    } <= kinds
    positions = {plan.patient_position for record in records for _, plan in record.series}
    assert positions == {"HFS", "FFS"}


def test_field_of_view_shows_all_levels_except_the_hidden_one(records: list[StudyRecord]) -> None:
    hidden = set()
    for record in records:
        points = record.spine.canal_points_mm()
        for plan in plans(record, "Sagittal"):
            plane = plan.planes[len(plan.planes) // 2]
            shown = [plane.shows(*plane.to_px(point)[:2]) for point in points]
            expected = [True] * 5
            if record.pose.hidden != "none":
                expected[0 if record.pose.hidden == "top" else 4] = False
            assert shown == expected
            hidden.add(record.pose.hidden)
    assert hidden == {"none", "top", "bottom"}


def test_hidden_level_is_neither_annotated_nor_graded(tmp_path: Path) -> None:
    write_phantom(tmp_path / "p", Order(studies=9, test=0, seed=5, max_size=32, geometry="hard"))
    with (tmp_path / "p/answers/spines.csv").open() as file:
        spines = {row["study_id"]: row for row in csv.DictReader(file)}
    assert {row["hidden_level"] for row in spines.values()} == {"", "l1_l2", "l5_s1"}
    assert {row["extra_vertebra"] for row in spines.values()} == {"0", "1"}
    with (tmp_path / "p/train_label_coordinates.csv").open() as file:
        points = {(row["study_id"], row["level"]) for row in csv.DictReader(file)}
    with (tmp_path / "p/train.csv").open() as file:
        labels = {row["study_id"]: row for row in csv.DictReader(file)}
    for study, row in spines.items():
        level = row["hidden_level"]
        if level:
            assert (study, level.upper().replace("_", "/")) not in points
            assert {labels[study][name] for name in labels[study] if level in name} == {""}


def test_annotated_points_lie_within_their_images(records: list[StudyRecord]) -> None:
    for record in records[:16]:
        shapes = {
            (series, number): plane.shape
            for series, plan in record.series
            for number, plane in zip(plan.instance_numbers, plan.planes, strict=True)
        }
        for _, series, number, _, _, x_px, y_px in annotation_rows(record):
            rows, columns = shapes[series, number]  # type: ignore[index]
            assert -0.5 <= x_px <= columns - 0.5  # type: ignore[operator]
            assert -0.5 <= y_px <= rows - 0.5  # type: ignore[operator]


def test_extra_and_missing_vertebrae_change_the_discs_above_the_named_ones() -> None:
    grades = np.zeros((5, 5), np.int8)
    spines = [
        Spine(draw_patient(grades, np.random.default_rng(0), Pose(vertebrae=count)))
        for count in (4, 5, 6)
    ]
    for spine in spines:
        assert len(spine.level_discs_mm) == len(LEVELS)
        steps = np.diff(spine.discs_mm[spine.first_level : spine.first_level + len(LEVELS)])
        assert ((steps > 29) & (steps < 42)).all()
    # Count the discs below the last named one and above the first.
    below = [(spine.discs_mm > spine.level_discs_mm[-1]).sum() for spine in spines]
    above = [(spine.discs_mm < spine.level_discs_mm[0]).sum() for spine in spines]
    assert len(set(below)) == 1
    assert above == [2, 3, 4]


@pytest.mark.parametrize(("vertebrae", "answer"), [(4, "-1"), (5, "0"), (6, "1")])
def test_all_patients_have_the_ordered_number_of_vertebrae_and_all_levels_in_view(
    vertebrae: int, answer: str, tmp_path: Path
) -> None:
    order = Order(2, 1, seed=5, max_size=32, geometry="hard", vertebrae=vertebrae)
    write_phantom(tmp_path / "p", order)
    with (tmp_path / "p/answers/spines.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["extra_vertebra"] for row in rows] == [answer] * 3
    if vertebrae != 5:
        assert [row["hidden_level"] for row in rows] == [""] * 3


def test_the_sacrum_is_at_the_same_place_below_the_lowest_level() -> None:
    grades = np.zeros((5, 5), np.int8)
    below = []
    for count in (4, 5, 6):
        spine = Spine(draw_patient(grades, np.random.default_rng(0), Pose(vertebrae=count)))
        below.append(measure(spine).sacrum_mm - spine.level_discs_mm[-1])
    assert below == pytest.approx([below[1]] * 3, abs=3)
