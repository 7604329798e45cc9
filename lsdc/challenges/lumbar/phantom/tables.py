"""Write the competition's tables, and the answers that a real competition keeps secret."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import LEVEL_COUNT, Array, Spine
from lsdc.challenges.lumbar.phantom.planning import SeriesPlan
from lsdc.challenges.lumbar.phantom.pose import LUMBAR_VERTEBRAE, Pose
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Grade

Grades = NDArray[np.int8]  # (5 conditions, 5 levels), 0 normal or mild, 1 moderate, 2 severe
Split = Literal["train", "test"]

_GRADES = tuple(grade.in_table for grade in Grade)
_SUBARTICULAR = (3, 4)
# Annotators mark no point on a slice this far from it.
_OUT_OF_SIGHT_MM = 10.0


@dataclass(frozen=True)
class StudyRecord:
    """The content of the tables for one study."""

    split: Split
    study_id: int
    grades: Grades
    empty_labels: bool
    pose: Pose
    series: tuple[tuple[int, SeriesPlan], ...]  # series id, plan
    spine: Spine
    marked_mm: Array  # (5 conditions, 5 levels, 3) LPS: annotated structure positions


def write_tables(root: Path, records: Sequence[StudyRecord]) -> None:
    """Write all tables of the competition and `answers/`."""
    train = [record for record in records if record.split == "train"]
    test = [record for record in records if record.split == "test"]
    cells = [f"{condition}_{level}" for condition in CONDITIONS for level in LEVELS]
    _write(root / "train.csv", ["study_id", *cells], map(_label_row, train))
    for split, part in (("train", train), ("test", test)):
        _write(
            root / f"{split}_series_descriptions.csv",
            ["study_id", "series_id", "series_description"],
            (
                [record.study_id, series_id, plan.description]
                for record in part
                for series_id, plan in record.series
            ),
        )
    _write(
        root / "train_label_coordinates.csv",
        ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"],
        (row for record in train for row in annotation_rows(record)),
    )
    _write(
        root / "sample_submission.csv",
        ["row_id", "normal_mild", "moderate", "severe"],
        ([f"{record.study_id}_{cell}", *[1 / 3] * 3] for record in test for cell in sorted(cells)),
    )
    _write_answers(root / "answers", records)


def annotation_rows(record: StudyRecord) -> list[list[object]]:
    """Return the rows of `train_label_coordinates.csv`: each point on the nearest slice showing it.

    Conditions without a series of their plane and cells without a label have no row.
    """
    rows: list[list[object]] = []
    for condition, name in enumerate(CONDITIONS):
        slices = [
            (series_id, number, plane)
            for series_id, plan in record.series
            if plan.description == name.shown_on
            for number, plane in zip(plan.instance_numbers, plan.planes, strict=True)
        ]
        for level, level_name in enumerate(LEVELS):
            if not slices or _is_empty(record, condition, level):
                continue
            places = [plane.to_px(record.marked_mm[condition, level]) for *_, plane in slices]
            nearest = int(np.argmin([distance for *_, distance in places]))
            series_id, number, plane = slices[nearest]
            x_px, y_px, distance_mm = places[nearest]
            if distance_mm > _OUT_OF_SIGHT_MM or not plane.shows(x_px, y_px):
                continue
            title = level_name.upper().replace("_", "/")
            words = name.replace("_", " ").title()
            rows.append(
                [record.study_id, series_id, number, words, title, round(x_px, 6), round(y_px, 6)]
            )
    return rows


def _label_row(record: StudyRecord) -> list[object]:
    cells = [
        "" if _is_empty(record, condition, level) else _GRADES[record.grades[condition, level]]
        for condition in range(len(CONDITIONS))
        for level in range(LEVEL_COUNT)
    ]
    return [record.study_id, *cells]


def _is_empty(record: StudyRecord, condition: int, level: int) -> bool:
    """Return whether a label is empty, as subarticular ones of the highest level often are.

    A level that no image shows has no grades.
    """
    if LEVELS[level] == hidden_level(record.pose):
        return True
    return record.empty_labels and condition in _SUBARTICULAR and level == 0


def hidden_level(pose: Pose) -> str | None:
    """Return the level that no image of the study shows, if any."""
    return {"none": None, "top": LEVELS[0], "bottom": LEVELS[-1]}[pose.hidden]


def _write_answers(folder: Path, records: Sequence[StudyRecord]) -> None:
    folder.mkdir()
    names = ["", "left_foramen_", "right_foramen_", "left_recess_", "right_recess_"]
    header = [f"{name}{axis}_mm" for name in names for axis in "xyz"]
    _write(
        folder / "points.csv",
        ["split", "study_id", "level", *header],
        (
            [
                record.split,
                record.study_id,
                level_name,
                *(f"{value:.6f}" for value in record.spine.structure_points_mm()[:, level].ravel()),
            ]
            for record in records
            for level, level_name in enumerate(LEVELS)
        ),
    )
    _write(
        folder / "grades.csv",
        ["split", "study_id", "condition", "level", "grade"],
        (
            [record.split, record.study_id, name, level_name, _GRADES[record.grades[row, column]]]
            for record in records
            for row, name in enumerate(CONDITIONS)
            for column, level_name in enumerate(LEVELS)
        ),
    )

    _write(
        folder / "spines.csv",
        ["split", "study_id", "hidden_level", "extra_vertebra"],
        (
            [
                record.split,
                record.study_id,
                hidden_level(record.pose) or "",
                record.pose.vertebrae - LUMBAR_VERTEBRAE,  # -1: one is missing
            ]
            for record in records
        ),
    )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
