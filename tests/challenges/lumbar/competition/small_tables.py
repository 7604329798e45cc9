"""Write and edit a small competition's tables."""

from pathlib import Path

import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError

TABLES = (
    "train.csv",
    "train_series_descriptions.csv",
    "train_label_coordinates.csv",
    "test_series_descriptions.csv",
    "sample_submission.csv",
)
CELLS = [f"{condition}_{level}" for condition in CONDITIONS for level in LEVELS]


def grades_row(study: object, **changed: str) -> str:
    return ",".join([str(study), *(changed.get(cell, "Normal/Mild") for cell in CELLS)])


def write(root: Path, name: str, *lines: str) -> None:
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    assert old in text
    (root / name).write_text(text.replace(old, new), encoding="utf-8")


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_competition(root)
    message = str(caught.value)
    assert "\n" not in message
    return message
