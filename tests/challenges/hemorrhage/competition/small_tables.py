"""Write and edit a small competition's tables."""

from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.competition.tables import open_competition
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.errors import DataError

TRAIN = "stage_2_train.csv"
SAMPLE = "stage_2_sample_submission.csv"
TABLES = (TRAIN, SAMPLE)


def image_rows(image_id: str, **ones: int) -> list[str]:
    return [f"{image_id}_{label},{ones.get(str(label), 0)}" for label in LABELS]


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
