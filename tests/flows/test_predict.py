"""`lsdc predict` with the models of a real run: with tables, and without any."""

import json
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from tests.challenges.lumbar.predict.loose import (
    add_series,
    described,
    halve,
    scatter,
    series_of,
    write_wrong_files,
)
from tests.flows.conftest import REAL_STUDY, Outcome, lsdc

PROBABILITIES = ["normal_mild", "moderate", "severe"]
# Nobody answers there: predictions need no server.
NO_SERVER = "http://127.0.0.1:9/api"
# Batches of other samples change the last bits of float32.
CLOSE = 1e-4


@dataclass(frozen=True)
class Predicted:
    """The result of a call of `lsdc predict --json`."""

    outcome: Outcome
    out: Path

    @property
    def rows(self) -> pl.DataFrame:
        """The table of predictions."""
        text = {"study_id": pl.String}
        return pl.read_csv(self.out / "predictions.csv", schema_overrides=text)

    @property
    def studies(self) -> dict[str, dict[str, Any]]:
        """The studies of the JSON file, by the number in their paths."""
        found = json.loads((self.out / "predictions.json").read_text())["studies"]
        places = [study["folder"].removeprefix("test_images/") for study in found]
        return {place.split("/")[0]: study for place, study in zip(places, found, strict=True)}


def predict(ran, folder: Path, out: Path, *more: str) -> Predicted:
    words = ("predict", folder, "--run", "demo", "--home", ran.home, "--out", out, "--json", *more)
    outcome = lsdc(*words, api=NO_SERVER)
    assert outcome.code == 0, outcome.err
    return Predicted(outcome, out)


@pytest.fixture(scope="module")
def by_tables(ran, tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    """Predict the test studies in another place, without the training data."""
    base = tmp_path_factory.mktemp("by-tables")
    root = base / "competition"
    shutil.copytree(ran.data / "test_images", root / "test_images")
    for name in ("test_series_descriptions.csv", "sample_submission.csv"):
        shutil.copy(ran.data / name, root)
    return predict(ran, root, base / "out")


@pytest.fixture(scope="module")
def loose(ran, tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    """Predict the same studies without tables, telling tags and their file names, and some more."""
    base = tmp_path_factory.mktemp("loose")
    root, kinds = base / "studies", described(ran.data, "test")
    for number, name in enumerate(kinds):
        scatter(ran.data / "test_images" / name, root / name, bare=True, seed=number)
    whole = next(name for name, own in kinds.items() if len(own) == 3 and name != str(REAL_STUDY))
    t1 = series_of(ran.data / "test_images" / whole, kinds[whole], "Sagittal T1")
    add_series(t1, root / whole / "again", 1, halve)
    one = next(path for path in sorted((root / whole).rglob("d*/*")) if path.is_file())
    write_wrong_files(root / whole / "wrong", one)
    (root / "one-slice").mkdir()
    image = next(iter(sorted((ran.data / "train_images").rglob("*.dcm"))))
    shutil.copy(image, root / "one-slice" / "image")
    return predict(ran, root, base / "out")


def test_submission_equals_that_of_the_run_to_the_bit(ran, by_tables: Predicted) -> None:
    assert (by_tables.out / "submission.csv").read_bytes() == (
        ran.folder / "submission.csv"
    ).read_bytes()


def test_every_study_has_all_rows_with_probabilities_spread_and_source(
    by_tables: Predicted, loose: Predicted
) -> None:
    for predicted in (by_tables, loose):
        rows = predicted.rows
        cells = len(CONDITIONS) * len(LEVELS)
        assert rows.group_by("study_id").len()["len"].unique().to_list() == [cells]
        total = rows.select(pl.sum_horizontal(PROBABILITIES)).to_series()
        assert (total - 1).abs().max() < 1e-6
        from_images = rows.filter(source="images")
        assert from_images["spread"].is_between(0, 0.5).all()
        assert (from_images["spread"] > 0).any()
        assert rows.filter(source="prior")["spread"].null_count() == len(rows) - len(from_images)


def test_pipe_gets_a_line_for_each_tenth_of_the_studies(
    by_tables: Predicted, loose: Predicted
) -> None:
    for predicted in (by_tables, loose):
        lines = predicted.outcome.err.splitlines()
        found = [re.match(r"(\d+) of (\d+) studies predicted after \d+ s$", line) for line in lines]
        numbers = [(int(each[1]), int(each[2])) for each in found if each]
        assert 0 < len(numbers) <= 10
        assert numbers == sorted(set(numbers))
        done, studies = numbers[-1]
        # Studies without any usable file count as well.
        assert done == studies >= predicted.rows["study_id"].n_unique()


def test_mean_of_the_folds_is_the_prediction(by_tables: Predicted) -> None:
    for study in by_tables.studies.values():
        for row in study["predictions"]:
            if row["source"] == "images":
                assert set(row["by_fold"]) == {"0", "1"}
                mean = [sum(pair) / 2 for pair in zip(*row["by_fold"].values(), strict=True)]
                assert [row[name] for name in PROBABILITIES] == pytest.approx(mean, abs=1e-9)


def test_studies_without_tables_get_the_same_kinds_and_predictions(
    ran, by_tables: Predicted, loose: Predicted
) -> None:
    for name, kinds in described(ran.data, "test").items():
        listed, found = by_tables.studies[name], loose.studies[name]
        used = sorted(each["kind"] for each in found["series"] if each["kind"])
        assert used == sorted(kinds.values()), found["series"]
        assert {each["told_by"] for each in found["series"] if each["kind"]} <= {
            "content",
            "other series",
        }
        for one, other in zip(listed["predictions"], found["predictions"], strict=True):
            assert [one["condition"], one["level"]] == [other["condition"], other["level"]]
            for grade in PROBABILITIES:
                assert one[grade] == pytest.approx(other[grade], abs=CLOSE)
        for level, point in listed["levels"].items():
            assert found["levels"][level]["position_mm"] == pytest.approx(point["position_mm"])


def test_left_out_series_and_bad_files_are_named(loose: Predicted) -> None:
    summary = json.loads(loose.outcome.out)
    left = [reason for own in summary["left_out"].values() for reason in own.values()]
    assert any(reason.startswith("a second Sagittal T1; series") for reason in left)
    assert "1 image, expected at least 3 positions" in left
    found = json.loads((loose.out / "predictions.json").read_text())
    bad = [row["path"].partition("/wrong/")[2] for row in found["quarantine"]]
    assert {"cut.dcm", "empty.dcm", "text.dcm"} <= set(bad)
    assert all(row["reason"] for row in found["quarantine"])


def test_files_are_listed_with_the_ids_of_the_results(loose: Predicted) -> None:
    files = pl.read_csv(loose.out / "files.csv", schema_overrides={"study_id": pl.String})
    there = {
        path.relative_to(loose.out.parent / "studies").as_posix()
        for path in (loose.out.parent / "studies").rglob("*")
    }
    assert set(files["path"]) <= there
    assert files["path"].is_unique().all()
    for place, study in loose.studies.items():
        own = files.filter(study_id=study["study_id"])
        assert len(own)
        assert all(path.startswith(f"{place}/") for path in own["path"])
        for series in study["series"]:
            listed = own.filter(series_id=int(series["series_id"]))
            assert listed["path"].to_list() == series["files"]
            assert set(listed["used_as"].drop_nulls()) == {series["kind"]} - {None}


def test_study_without_images_to_use_gets_the_prior_and_says_so(ran, loose: Predicted) -> None:
    one = loose.studies["one-slice"]
    assert one["predicted_from"] == "prior"
    assert one["doubts"] == ["predicted by the prior: no series that the models use"]
    assert {row["source"] for row in one["predictions"]} == {"prior"}
    assert json.loads(loose.outcome.out)["by_prior"] == [one["study_id"]]


def test_one_picture_of_each_study_with_images(by_tables: Predicted, loose: Predicted) -> None:
    for predicted in (by_tables, loose):
        expected = {
            f"{study['study_id']}.png"
            for study in predicted.studies.values()
            if study["predicted_from"] == "images"
        }
        assert {path.name for path in (predicted.out / "pictures").iterdir()} == expected
        for path in (predicted.out / "pictures").iterdir():
            with Image.open(path) as picture:
                assert picture.width > 2000


def test_nothing_else_is_left_behind(by_tables: Predicted, loose: Predicted) -> None:
    always = {"predictions.csv", "predictions.json", "files.csv", "pictures", "predict.log"}
    always |= {".predict.lock"}
    assert {path.name for path in loose.out.iterdir()} - always == set()
    assert {path.name for path in by_tables.out.iterdir()} - always == {"submission.csv"}


def test_submission_is_complete_without_any_image_and_without_a_writable_home(
    ran, tmp_path: Path
) -> None:
    root, home = tmp_path / "empty", tmp_path / "home"
    root.mkdir()
    shutil.copy(ran.data / "sample_submission.csv", root)
    shutil.copytree(ran.home, home, ignore=shutil.ignore_patterns("crops", "prefect", "phantom"))
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    try:
        out = tmp_path / "out"
        outcome = lsdc("predict", root, "--run", "demo", "--home", home, "--out", out)
        assert outcome.code == 0, outcome.err
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
    sample = pl.read_csv(ran.data / "sample_submission.csv")
    submission = pl.read_csv(out / "submission.csv")
    assert submission["row_id"].to_list() == sample["row_id"].to_list()
    assert f"{len(sample)} rows of sample_submission.csv: no such study" in outcome.out


# One study a block, so that few studies make several.
_BY_ONE = """
import json, sys
from pathlib import Path
from lsdc.challenges.lumbar.predict.models import models_of_run
from lsdc.challenges.lumbar.predict.studies import predict_studies

home, root, out = map(Path, sys.argv[1:])
models = models_of_run(home, "demo")
found = predict_studies(root, models, out, device="cpu", threads=2, studies_at_once=1)
print(json.dumps([len(found.studies), found.kept]))
"""


def start_by_one(ran, root: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-c", _BY_ONE, ran.home, root, out]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish_by_one(ran, root: Path, out: Path) -> list[int]:
    with start_by_one(ran, root, out) as process:
        printed, _ = process.communicate()
    assert process.returncode == 0
    return json.loads(printed)


def kill_after_the_first_block(ran, root: Path, out: Path) -> None:
    with start_by_one(ran, root, out) as process:
        while not list(out.glob(".unfinished/block-*/done.json")):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (out / "predictions.csv").exists()


@pytest.mark.slow_runs
def test_a_killed_prediction_goes_on_after_its_last_block_with_the_same_results(
    ran, tmp_path: Path
) -> None:
    root, out = tmp_path / "studies", tmp_path / "out"
    shutil.copytree(ran.data, root, ignore=shutil.ignore_patterns("train*", "answers"))
    kill_after_the_first_block(ran, root, out)
    studies, kept = finish_by_one(ran, root, out)
    assert 1 <= kept <= studies
    assert not (out / ".unfinished").exists()
    whole = tmp_path / "whole"
    assert finish_by_one(ran, root, whole) == [studies, 0]
    names = sorted(path.relative_to(whole) for path in whole.rglob("*.*"))
    assert names == sorted(path.relative_to(out) for path in out.rglob("*.*"))
    for name in names:
        if name.name != "predict.log":
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name

    # Other files: nothing of the killed prediction counts.
    kill_after_the_first_block(ran, root, tmp_path / "again")
    next(iter(sorted((root / "test_images").rglob("*.dcm")))).unlink()
    assert finish_by_one(ran, root, tmp_path / "again")[1] == 0
