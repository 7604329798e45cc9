from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lsdc.errors import DataError
from lsdc.experiments.config import SlicesConfig
from lsdc.report.crops import write_study_sheet

CONFIG = SlicesConfig()
MISSING = (70, 26, 26)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    crops = np.full((2, 25, 16, 16), 200, dtype=np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    masks = [[True] * 25, [False] + [True] * 24]
    levels = ["l1_l2", "l2_l3"]
    table = {"row": [0, 1], "split": "train", "study_id": 7, "level": levels, "mask": masks}
    pl.DataFrame(table).write_parquet(tmp_path / "samples.parquet")
    return tmp_path


def test_sheet_shows_every_slice_and_marks_the_missing_one(folder: Path) -> None:
    write_study_sheet(7, [folder], CONFIG, folder / "sheet.png")
    pixels = np.array(Image.open(folder / "sheet.png"))
    assert (pixels == 200).all(axis=2).sum() == 49 * 16 * 16
    assert (pixels == MISSING).all(axis=2).sum() == 16 * 16


def test_unknown_study_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="study 8: no crops of it"):
        write_study_sheet(8, [folder], CONFIG, folder / "sheet.png")
    assert not (folder / "sheet.png").exists()
