"""The competition's folder: fragments in order, and refusals by name."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.ink.competition.predictions import read_predictions
from lsdc.challenges.ink.competition.tables import (
    asks_for_rows,
    is_competition,
    labelled_fragments,
    list_layers,
    open_competition,
)
from lsdc.errors import DataError
from tests.challenges.ink.made_fragments import write_fragment, write_picture

SAMPLE = "sample_submission.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    mask = np.ones((8, 6), dtype=bool)
    for name in ("1", "10", "2"):
        write_fragment(tmp_path, name, "train", mask)
    for name in ("a", "b", "c"):
        write_fragment(tmp_path, name, "test", mask)
    (tmp_path / SAMPLE).write_text("Id,Predicted\nb,10 20\na,1 1 5 1\n")
    return tmp_path


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_competition(root)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(root))
    return message.removeprefix(f"{root}/")


def test_fragments_are_found_in_order(root: Path) -> None:
    (root / "train" / ".hidden").mkdir()
    (root / "train" / "notes.txt").touch()
    found = open_competition(root)
    assert [fragment.name for fragment in found.training] == ["1", "2", "10"]
    assert found.row_ids == ("b", "a")  # as in the sample submission
    assert found.not_asked_for == ("c",)
    assert [str(fragment) for fragment in found.fragments][2:4] == ["train/10", "test/b"]
    assert found.training[0].shape == (8, 6)
    assert is_competition(root)
    assert asks_for_rows(root)
    assert list(labelled_fragments(root)) == ["1", "2", "10"]


def test_without_a_sample_submission_there_is_nothing_to_predict(root: Path) -> None:
    (root / SAMPLE).unlink()
    found = open_competition(root)
    assert (found.testing, found.not_asked_for) == ((), ("a", "b", "c"))
    assert not asks_for_rows(root)


def test_another_folder_is_no_competition(tmp_path: Path) -> None:
    (tmp_path / "train" / "1").mkdir(parents=True)
    assert not is_competition(tmp_path)
    assert "train: no fragment" in refusal(tmp_path / "train")
    assert "no such folder" in refusal(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no labels, expected train/ID/inklabels"):
        labelled_fragments(tmp_path)


def test_layers_are_in_order_and_each_is_needed_once(root: Path) -> None:
    folder = root / "train" / "2" / "surface_volume"
    (folder / "01.tif").rename(folder / "001.TIFF")
    assert [path.name for path in list_layers(root / "train" / "2")][:3] == [
        "00.tif",
        "001.TIFF",
        "02.tif",
    ]
    (folder / "01.tif").touch()
    assert "2/surface_volume: 1 file (01.tif) besides the 65 layers" in refusal(root)
    (folder / "01.tif").unlink()
    for name in ("33.tif", "64.tif"):
        (folder / name).unlink()
    assert "2/surface_volume: 2 layers (33.tif, 64.tif) missing" in refusal(root)
    shutil.rmtree(folder)
    assert "2/surface_volume: no such folder, expected 00.tif to 64.tif" in refusal(root)


def test_pictures_must_be_there_and_of_one_size(root: Path) -> None:
    write_picture(root / "train" / "10" / "inklabels.png", np.ones((6, 8), dtype=bool))
    message = refusal(root)
    assert "10/inklabels.png: 6 rows by 8 columns, expected 8 rows by 6 columns" in message
    (root / "train" / "10" / "inklabels.png").unlink()
    assert refusal(root).startswith("train/10/inklabels.png: no such file")
    (root / "train" / "1" / "mask.png").unlink()
    assert refusal(root).startswith("train/1/mask.png: no such file")


def test_rows_without_a_folder_and_names_in_both_splits_are_refused(root: Path) -> None:
    (root / SAMPLE).write_text("Id,Predicted\na,\nz,\n")
    assert f"{SAMPLE}: 1 fragment (z) without a folder" in refusal(root)
    (root / SAMPLE).write_text("Id,Predicted\na,\na,\n")
    assert "Id a is listed twice, in lines 2 and 3" in refusal(root)
    (root / "test" / "a").rename(root / "test" / "2")
    assert "1 fragment (2) in train/ and in test/" in refusal(root)


def test_predictions_are_read_with_empty_cells_and_cells_of_any_length(tmp_path: Path) -> None:
    long = " ".join(f"{2 * number + 1} 1" for number in range(100_000))
    path = tmp_path / "mine.csv"
    for quote in ("", '"'):
        path.write_text(f"Id,Predicted\nb,\na,{quote}{long}{quote}\n")
        assert read_predictions(path) == {"b": "", "a": long}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Id,Predicted\n", "no row, expected one for each fragment"),
        ("Id,Runs\na,1 1\n", "no column 'Predicted'"),
        ("Id,Predicted\na,1 1\na,2 1\n", "1 fragment (a) repeated"),
        ("Id,Predicted\na,1 1\n,2 1\n", "1 of 2 rows without Id"),
    ],
)
def test_malformed_predictions_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)
