"""A small competition with tables but no images."""

from pathlib import Path

import pytest

from tests.challenges.hemorrhage.competition.small_tables import SAMPLE, TRAIN, image_rows, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write the tables of a competition with three training images and two to predict."""
    rows = [
        *image_rows("ID_0000000c3"),
        *image_rows("ID_0000000a1", subdural=1, any=1),
        *image_rows("ID_0000000b2", epidural=1, intraventricular=1, any=1),
    ]
    write(tmp_path, TRAIN, "ID,Label", *rows)
    asked = [f"{row[:-1]}0.5" for name in "fe" for row in image_rows(f"ID_0000000{name}0")]
    write(tmp_path, SAMPLE, "ID,Label", *asked)
    return tmp_path
