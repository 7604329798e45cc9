"""The score of a submission, planted; and submissions in the order that is asked for."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.competition.predictions import read_predictions
from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.scoring.metric import f_beta
from lsdc.challenges.ink.scoring.submission import score_submission, write_submission
from lsdc.errors import DataError
from tests.challenges.ink.made_fragments import write_picture


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write the labels of two fragments, and nothing else."""
    rng = np.random.default_rng(2)
    for name, kind in (("1", "palette"), ("2", "L255")):
        labels = rng.random((30, 20)) < 0.2
        write_picture(tmp_path / "data" / "train" / name / "inklabels.png", labels, kind)
    return tmp_path / "data"


def labels(data: Path, name: str) -> np.ndarray:
    return read_mask(data / "train" / name / "inklabels.png")


def submit(data: Path, *lines: str) -> Path:
    path = data.parent / "mine.csv"
    path.write_text("\n".join(["Id,Predicted", *lines]) + "\n")
    return path


def test_the_labels_themselves_score_one(data: Path) -> None:
    path = submit(data, *(f"{name},{encode(labels(data, name))}" for name in "12"))
    assert score_submission(path, data)[0] == {"score": 1, "1": 1, "2": 1}


def test_the_score_is_the_mean_over_rows_beside_all_ones(data: Path) -> None:
    path = submit(data, "2,", f"1,{encode(labels(data, '1'))}")
    found, ones = score_submission(path, data)
    assert list(found) == ["score", "2", "1"]
    assert found == {"score": 0.5, "2": 0, "1": 1}
    expected = {name: f_beta(np.ones((30, 20), dtype=bool), labels(data, name)) for name in "21"}
    assert ones == pytest.approx({"score": sum(expected.values()) / 2} | expected, abs=1e-12)


def test_strangers_missing_rows_and_runs_beyond_the_frame_are_refused(data: Path) -> None:
    cases = {
        ("1,1 1", "2,1 1", "a,1 1"): "1 fragment (a) without",
        ("2,1 1",): "1 fragment (1) missing, expected a row for each of the 2",
        ("1,1 1", "2,600 2"): "Predicted of fragment 2: run 1 (start 600, length 2) ends at",
        ("1,1 1", "2,1 1 1"): "Predicted of fragment 2: 3 numbers",
    }
    for lines, fault in cases.items():
        path = submit(data, *lines)
        with pytest.raises(DataError) as caught:
            score_submission(path, data)
        assert str(caught.value).startswith(f"{path}: {fault}")


def test_a_submission_has_the_rows_of_the_sample_in_its_order(tmp_path: Path) -> None:
    out = tmp_path / "submission.csv"
    assert write_submission({"a": "1 2", "b": "", "c": "3 1"}, ("b", "a"), out) == 2
    assert out.read_text() == "Id,Predicted\nb,\na,1 2\n"
    assert read_predictions(out) == {"b": "", "a": "1 2"}
    assert pl.read_csv(out)["Predicted"].to_list() == [None, "1 2"]  # as the grader reads it
    with pytest.raises(DataError, match=r"submission: 1 fragment \(d\) not predicted"):
        write_submission({"a": "1 2"}, ("a", "d"), out)
    with pytest.raises(DataError, match="lists no fragment"):
        write_submission({"a": "1 2"}, (), out)


def test_real_labels_score_exactly(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "train" / "1"
    folder.mkdir(parents=True)
    picture = real_data / "ink" / "inklabels-fragment1.png"
    (folder / "inklabels.png").symlink_to(picture)
    truth = read_mask(picture)
    moved = np.zeros_like(truth)
    moved[:, 10:] = truth[:, :-10]
    path = tmp_path / "mine.csv"
    path.write_text(f"Id,Predicted\n1,{encode(moved)}\n")
    found, ones = score_submission(path, tmp_path)
    assert found["score"] == found["1"] == pytest.approx(0.948634706306, abs=1e-12)
    assert ones["score"] == pytest.approx(0.125642568865, abs=1e-12)
