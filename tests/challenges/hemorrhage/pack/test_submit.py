"""The worker of a bundle: it predicts as `lsdc predict`, and says what it could not predict."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.row_ids import row_ids_of
from lsdc.challenges.hemorrhage.pack.layout import KIND
from lsdc.challenges.hemorrhage.pack.submit import Submission
from lsdc.challenges.hemorrhage.pack.write import put_run
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.studies import predict_studies
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.pack import worker
from lsdc.pack.libraries import kaggle_image
from lsdc.pack.worker import ALL
from lsdc.pack.write import Content, write_bundle

pytestmark = pytest.mark.usefixtures("same_process")
SAMPLE, IMAGES = "stage_2_sample_submission.csv", "stage_2_test_images"

Predict = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """A submission that was written, the exit code of the worker, and its output."""

    submission: Path
    code: int
    out: str
    err: str

    @property
    def rows(self) -> pl.DataFrame:
        """The rows of the submission."""
        return pl.read_csv(self.submission)


@pytest.fixture
def predict(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Predict:
    """Return a function that predicts a folder: `predict.py` without libraries, then the worker."""

    def run(
        data: Path,
        *,
        of: Path = bundle,
        unknown: Sequence[str] = (),
        seconds: float = 1000.0,
        studies_at_once: int = 64,
    ) -> Done:
        out, work = tmp_path / "submission.csv", tmp_path / "work"
        command = [sys.executable, "-I", "-S", of / "predict.py", data, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "neither in this Python" in done.stderr
        work.mkdir()
        order: dict[str, Any] = {
            **{"bundle": str(of), "test": str(data), "out": str(out), "work": str(work)},
            **{"log": str(tmp_path / "log"), "device": "cpu", "threads": 1, "memory_gb": 16.0},
            **{"seconds": seconds, "studies_at_once": studies_at_once, "unknown": list(unknown)},
        }
        (tmp_path / "order.json").write_text(json.dumps(order))
        monkeypatch.setattr(sys, "argv", ["submit", str(tmp_path / "order.json")])
        code = worker.main(Submission)
        said = capfd.readouterr()
        return Done(out, code, done.stdout + said.out, said.err)

    return run


@pytest.fixture
def data(competition: Path, tmp_path: Path) -> Path:
    """Copy the competition, to be changed."""
    return Path(shutil.copytree(competition, tmp_path / "data"))


def test_submission_is_that_of_a_prediction_to_the_bit(
    predict: Predict, competition: Path, models: TrainedModels, tmp_path: Path
) -> None:
    done = predict(competition)
    assert done.code == 0, done.err
    predict_studies(competition, models, tmp_path / "out", device="cpu", pictures=False)
    assert done.submission.read_bytes() == (tmp_path / "out" / "submission.csv").read_bytes()
    images = done.rows.height // len(LABELS)
    assert f"{images} images of {images} predicted from images by " in done.out


def test_studies_one_after_the_other_are_predicted_alike(
    predict: Predict, competition: Path, models: TrainedModels, tmp_path: Path
) -> None:
    done = predict(competition, studies_at_once=1)
    assert done.code == 0, done.err
    assert "2 of 3 studies in" in done.out
    predict_studies(competition, models, tmp_path / "out", device="cpu", pictures=False)
    expected = pl.read_csv(tmp_path / "out" / "submission.csv")
    assert done.rows["ID"].equals(expected["ID"])
    # Batches of other slices change the last bits of float32.
    assert (done.rows["Label"] - expected["Label"]).abs().max() < 1e-5


def test_several_runs_are_predicted_by_their_mean(
    predict: Predict, competition: Path, models: TrainedModels, tmp_path: Path
) -> None:
    runs = [tmp_path / "first", tmp_path / "second"]
    alone = []
    for run, fold in zip(runs, models.folds, strict=True):
        own = ({fold: run / folder[fold].name} for folder in (models.folds, models.sequences))
        alone.append(replace(models, **dict(zip(("folds", "sequences"), own, strict=True))))
        for folder in (models.folds[fold], models.sequences[fold]):
            shutil.copytree(folder, run / folder.name)

    def put(made: Path) -> Content:
        packed = [put_run(each, run, made) for each, run in zip(alone, runs, strict=True)]
        return Content(packed, [])

    out = tmp_path / "bundle-of-both"
    write_bundle(["first", "second"], out, KIND, put, image=kaggle_image())
    done = predict(competition, of=out)
    assert done.code == 0, done.err
    assert "predicted from images by first, second" in done.out
    predict_studies(competition, models, tmp_path / "out", device="cpu", pictures=False)
    expected = pl.read_csv(tmp_path / "out" / "submission.csv")  # the mean of both folds
    assert (done.rows["Label"] - expected["Label"]).abs().max() < 1e-12


def test_images_without_a_usable_file_get_the_mean_of_their_neighbours(
    predict: Predict, data: Path
) -> None:
    whole = sorted((data / IMAGES).iterdir())
    whole[0].unlink()
    whole[1].write_bytes(whole[1].read_bytes()[:-9])  # some of its pixels
    sample = (data / SAMPLE).read_text() + "knee,0.5\nID_none_any,0.5\n"
    (data / SAMPLE).write_text(sample)
    done = predict(data, unknown=["knee"])
    assert done.code == 0, done.err
    assert done.rows["ID"].to_list() == [line.split(",")[0] for line in sample.split()[1:]]
    assert dict(done.rows.tail(2).iter_rows()) == {"knee": 0.5, "ID_none_any": 0.06}
    assert "1 image by the mean of neighbouring slices: its pixels were not predicted" in done.out
    assert "2 images by the prior: it has no usable file" in done.out
    prior = {f"{whole[0].stem}_{label}": 0.01 * (n + 1) for n, label in enumerate(LABELS)}
    found = dict(done.rows.iter_rows())
    assert {name: found[name] for name in prior} == pytest.approx(prior)


def test_without_a_sample_submission_all_images_get_rows(
    predict: Predict, data: Path, competition: Path
) -> None:
    (data / SAMPLE).unlink()
    images = (data / IMAGES).rename(data / "stage_2_test")  # as mirrors call it
    done = predict(data)
    assert done.code == 0, done.err
    stems = pl.Series(path.stem for path in images.iterdir())
    assert done.rows["ID"].to_list() == sorted(row_ids_of(stems))
    assert done.rows["Label"].n_unique() > len(LABELS)


def test_a_sample_submission_that_a_run_would_refuse_is_predicted_as_far_as_known(
    predict: Predict, data: Path
) -> None:
    lines = (data / SAMPLE).read_text().splitlines()
    (data / SAMPLE).write_text("\n".join([*lines[:4], "knee,0.5", *lines[4:]]) + "\n")
    done = predict(data, unknown=["knee"])
    assert done.code == 0
    assert "so all files of the folder of test images are read" in done.err
    found = dict(done.rows.iter_rows())
    assert found.pop("knee") == 0.5
    assert len(set(found.values())) > len(LABELS)


def test_too_short_a_time_leaves_the_prior_in_all_rows(predict: Predict, competition: Path) -> None:
    done = predict(competition, seconds=0.0)
    assert done.code == ALL
    assert "the time ended; 3 studies not reached" in done.err
    assert sorted(done.rows["Label"].unique()) == pytest.approx(
        [0.01 * (number + 1) for number in range(len(LABELS))]
    )
