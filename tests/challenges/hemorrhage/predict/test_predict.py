"""Predictions equal those of a run's stages, whatever files and folders are called."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest
from PIL import Image
from pydicom.config import disable_value_validation

from lsdc.challenges.hemorrhage.competition.predictions import check_predictions, read_predictions
from lsdc.challenges.hemorrhage.competition.tables import sample_submission, wanted_rows
from lsdc.challenges.hemorrhage.index.build import Index, build_index
from lsdc.challenges.hemorrhage.predict import studies as predicting
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.studies import HeadPrediction, predict_studies
from lsdc.challenges.hemorrhage.scoring.submission import assemble_submission
from lsdc.challenges.hemorrhage.slices.prepare import join_shards, prepare_shard
from lsdc.challenges.hemorrhage.training.predict import PredictJob
from lsdc.errors import DataError
from lsdc.jobs.predict import predict
from lsdc.training.process import ignore
from tests.challenges.hemorrhage.predict.conftest import TEST_STUDIES
from tests.challenges.hemorrhage.training.planted import NAMES

pytestmark = pytest.mark.usefixtures("same_process")
IMAGES = "stage_2_test_images"
# Batches of other slices change the last bits of float32.
CLOSE = 1e-5


def by_stages(root: Path, models: TrainedModels, work: Path) -> pl.DataFrame:
    """Return the submission that the functions of a run's stages make."""
    index, shard, slices = work / "index", work / "shard", work / "slices"
    for folder in (index, shard, slices):
        folder.mkdir(parents=True)
    build_index(root, index)
    images = Index.load(index).images.filter(split="test")
    prepare_shard(images, models.experiment.slices, shard)
    join_shards([shard], slices, files=len(images))
    job = PredictJob(
        experiment=models.experiment,
        models=tuple(models.folds.values()),
        sequences=tuple(models.sequences.values()),
        slices=slices,
        out=work / "predictions.parquet",
        device="cpu",
        threads=1,
    )
    predict(job, log=work / "log", on_event=ignore)
    found = pl.read_parquet(job.out)
    return assemble_submission(found, wanted_rows(root), images, dict(models.prior))[0]


def predictions_of(out: Path) -> pl.DataFrame:
    """Return the wide table of a prediction's images."""
    path = out / "predictions.csv"
    return check_predictions(read_predictions(path), str(path))


def scatter(images: Path, out: Path) -> dict[str, str]:
    """Copy images under random names into random folders; return their ids by their paths."""
    names = random.Random(3)
    placed = {}
    for path in sorted(images.iterdir()):
        target = out / f"d{names.randrange(3)}" / f"{names.getrandbits(40):010x}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        placed[target.relative_to(out).as_posix()] = path.stem
    return placed


@pytest.fixture(scope="module")
def whole(
    models: TrainedModels, competition: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, HeadPrediction]:
    """Predict the competition's test images, in a process of their own."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, predict_studies(competition, models, out, device="cpu")


def test_the_submission_equals_that_of_a_run_to_the_bit(
    models: TrainedModels, competition: Path, whole: tuple[Path, HeadPrediction], tmp_path: Path
) -> None:
    expected = by_stages(competition, models, tmp_path)
    expected.write_csv(tmp_path / "expected.csv")
    assert (whole[0] / "submission.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert expected["Label"].n_unique() > len(NAMES)


def test_images_anywhere_under_any_name_are_predicted_alike(
    models: TrainedModels, competition: Path, whole: tuple[Path, HeadPrediction], tmp_path: Path
) -> None:
    root, out = tmp_path / "studies", tmp_path / "out"
    placed = scatter(competition / IMAGES, root)
    predict_studies(root, models, out, device="cpu", pictures=False)
    files = pl.read_csv(out / "files.csv", schema_overrides={"image_id": pl.String})
    assert {*files["path"]} == {*placed}
    ids = {row["image_id"]: placed[row["path"]] for row in files.iter_rows(named=True)}
    found = predictions_of(out).with_columns(pl.col("image_id").replace_strict(ids))
    listed = predictions_of(whole[0])
    assert found.sort("image_id").equals(listed.sort("image_id"))


def test_blocks_change_the_last_bits_at_most(
    models: TrainedModels, competition: Path, whole: tuple[Path, HeadPrediction], tmp_path: Path
) -> None:
    predict_studies(competition, models, tmp_path, device="cpu", studies_at_once=1)
    assert len(list((tmp_path / "pictures").iterdir())) == TEST_STUDIES
    one, other = predictions_of(tmp_path), predictions_of(whole[0])
    assert one["image_id"].equals(other["image_id"])
    assert np.allclose(one.select(NAMES).to_numpy(), other.select(NAMES).to_numpy(), atol=CLOSE)


def test_a_study_has_the_highest_probability_of_its_slices_and_says_which(
    whole: tuple[Path, HeadPrediction],
) -> None:
    images, rows = whole[1].images, whole[1].rows
    assert rows.select("study_id", "label").n_unique() == len(rows) == TEST_STUDIES * len(NAMES)
    for row in rows.iter_rows(named=True):
        own = images.filter(study_id=row["study_id"], source="images")
        assert row["probability"] == own[row["label"]].max()
        (place,) = own.filter(image_id=row["image_id"]).to_dicts()
        assert place[row["label"]] == row["probability"]
        assert (place["slice"], place["series_id"]) == (row["slice"], row["series_id"])
        assert row["images"] == len(own)
    written = pl.read_csv(whole[0] / "studies.csv")
    assert written["probability"].to_list() == pytest.approx(rows["probability"].to_list())


def test_json_has_each_study_with_its_images_and_the_mean_of_the_folds(
    whole: tuple[Path, HeadPrediction],
) -> None:
    found = json.loads((whole[0] / "predictions.json").read_text())
    assert (found["run"], found["folds"], len(found["studies"])) == ("small", [0, 3], TEST_STUDIES)
    for study in found["studies"]:
        assert study["predicted_from"] == "images"
        (series,) = study["series"]
        assert len(series["files"]) == len(study["images"]) == series["images"]
        assert [image["slice"] for image in study["images"]] == [
            *range(1, len(study["images"]) + 1)
        ]
        heights = [image["along_mm"] for image in study["images"]]
        assert heights == sorted(heights)
        for row in study["predictions"]:
            by_fold = row["by_fold"]
            assert row["probability"] == pytest.approx(sum(by_fold.values()) / 2, abs=1e-9)
            assert row["spread"] == pytest.approx(np.std([*by_fold.values()]), abs=1e-9)


def test_each_study_has_a_picture(whole: tuple[Path, HeadPrediction]) -> None:
    expected = {f"{study.study_id}.png" for study in whole[1].studies}
    assert {path.name for path in (whole[0] / "pictures").iterdir()} == expected
    for path in (whole[0] / "pictures").iterdir():
        with Image.open(path) as picture:
            assert picture.width == 1600


def test_nothing_else_is_left_behind(whole: tuple[Path, HeadPrediction]) -> None:
    names = {path.name for path in whole[0].iterdir()}
    results = {"predictions.csv", "studies.csv", "files.csv", "submission.csv", "predictions.json"}
    assert names == {*results, "pictures", "predict.log", ".predict.lock"}


def test_patients_are_not_named(competition: Path, whole: tuple[Path, HeadPrediction]) -> None:
    path = next((competition / IMAGES).iterdir())
    with disable_value_validation():
        patient = str(pydicom.dcmread(path).PatientID)
    assert patient in path.read_bytes().decode("latin1")
    for written in whole[0].rglob("*"):
        if written.is_file() and written.suffix != ".png":
            assert patient not in written.read_text(), written


def test_a_killed_prediction_goes_on_with_the_same_results(
    models: TrainedModels, competition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(out: Path) -> HeadPrediction:
        return predict_studies(competition, models, out, device="cpu", studies_at_once=1)

    expected, out = tmp_path / "expected", tmp_path / "out"
    assert run(expected).kept == 0
    real, calls = predicting.predict_block, list[int]()

    def killed(*given: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(predicting, "predict_block", killed)
    with pytest.raises(KeyboardInterrupt):
        run(out)
    assert not (out / "predictions.csv").exists()
    again = run(out)
    assert (again.kept, len(calls)) == (1, TEST_STUDIES + 1)
    names = sorted(path.relative_to(expected) for path in expected.rglob("*.*"))
    assert names == sorted(path.relative_to(out) for path in out.rglob("*.*"))
    for name in names:
        if name.name != "predict.log":
            assert (out / name).read_bytes() == (expected / name).read_bytes(), name


def test_a_submission_is_complete_without_any_image(
    models: TrainedModels, competition: Path, tmp_path: Path
) -> None:
    root, out = tmp_path / "empty", tmp_path / "out"
    root.mkdir()
    shutil.copy(sample_submission(competition), root)
    found = predict_studies(root, models, out, device="cpu")
    submission = pl.read_csv(out / "submission.csv")
    assert submission["ID"].to_list() == wanted_rows(competition).to_list()
    values = submission["Label"].to_numpy().reshape(-1, len(NAMES))
    assert np.allclose(values, [models.prior[name] for name in NAMES])
    assert (found.unknown_rows, found.studies) == (len(submission), [])


def test_a_folder_without_dicom_files_is_refused(models: TrainedModels, tmp_path: Path) -> None:
    root = tmp_path / "studies"
    root.mkdir()
    (root / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="none of 1 file below it is a readable DICOM file"):
        predict_studies(root, models, tmp_path / "out", device="cpu")
    with pytest.raises(DataError, match="nowhere: no such folder, expected one with DICOM"):
        predict_studies(root / "nowhere", models, tmp_path / "out", device="cpu")


def test_the_command_loads_no_torch() -> None:
    script = (
        "import sys, lsdc.challenges.hemorrhage.predict.studies\n"
        "import lsdc.challenges.hemorrhage.terminal.predictions\nprint(*sorted(sys.modules))"
    )
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"prefect", "torch", "duckdb"} & set(done.stdout.split())
