"""An experiment with members, run like any other: scores, report, submission, predict and pack."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.pack.write import write_bundle
from lsdc.errors import SettingsError
from lsdc.pack.libraries import kaggle_image
from tests.flows.conftest import Outcome, Ran, lsdc

pytestmark = pytest.mark.slow_runs

CANAL = "spinal_canal_stenosis"
PRESETS = f"""
[canal]
based_on = "demo"
labels.conditions = ["{CANAL}"]
training.epochs = 1

[both]
members = ["demo", "canal"]
ensemble.second_level = true
ensemble.temperature = true
"""
STAGES = {"index train", "folds", "index test", "ensemble", "oof", "predict", "submission"}
OWN = {"ensemble", "oof", "predict", "submission", "report"}


@dataclass(frozen=True)
class Home:
    """A home with the run `demo`, a run with canal grades alone, and their ensemble.

    Attributes:
        refused: the run of the ensemble before its second member was trained.
        outcome: that after it.
    """

    ran: Ran
    root: Path
    presets: Path
    refused: Outcome
    outcome: Outcome

    @property
    def folder(self) -> Path:
        return self.root / "runs" / "both"

    def lsdc(self, *arguments: str | Path) -> Outcome:
        return run(self.ran, self.root, *arguments)

    def again(self, *more: str) -> Outcome:
        return self.lsdc("run-local", "--data", self.ran.data, "--folds", "2", *more)


def run(ran: Ran, root: Path, *arguments: str | Path) -> Outcome:
    return lsdc(*arguments, "--home", root, api=ran.api)


@pytest.fixture(scope="module")
def home(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    base = tmp_path_factory.mktemp("ensemble")
    root, presets = base / "home", base / "presets.toml"
    shutil.copytree(ran.home, root)
    presets.write_text(PRESETS)
    command = ("run-local", "--data", ran.data, "--folds", "2", "--experiment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSDC_PRESETS", str(presets))
        refused = run(ran, root, *command, "both")
        trained = run(ran, root, *command, "canal")
        assert trained.code == 0, trained.err
        outcome = run(ran, root, *command, "both")
        assert outcome.code == 0, outcome.out + outcome.err
        yield Home(ran, root, presets, refused, outcome)


def stages_of(outcome: Outcome) -> set[str]:
    """Return the task runs whose body ran, without those that publish the catalog."""
    return {name for name in outcome.ran if not name.startswith("catalog")}


def table(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).sort("row_id")


def test_a_member_that_is_not_trained_is_refused_with_the_command_that_trains_it(
    home: Home,
) -> None:
    assert home.refused.code != 0
    assert "canal/fold-0: no trained fold, but members needs it" in home.refused.err
    assert f"lsdc run-local --experiment canal --data {home.ran.data}" in home.refused.err
    assert home.refused.ran == set()


def test_the_ensemble_has_the_files_of_a_run(home: Home) -> None:
    names = {path.name for path in home.folder.iterdir()}
    assert names >= {
        *("run.json", "experiment.json", "rests-on.json", "oof.parquet", "holdout.parquet"),
        *("scores.json", "predictions.parquet", "submission.csv", "report.html", "model-card.md"),
        "ensemble",
    }
    oof, own = table(home.folder / "oof.parquet"), table(home.root / "runs/demo/oof.parquet")
    assert oof["row_id"].to_list() == own["row_id"].to_list()
    assert oof["fold"].to_list() == own["fold"].to_list()
    scores = json.loads((home.folder / "scores.json").read_text())
    assert (scores["partial"], set(scores["folds"])) == (False, {"0", "1"})
    page = (home.folder / "report.html").read_text()
    assert "What a member adds" in page
    assert "the reports of its members, demo, canal" in page
    assert "demo, canal, each with a card of its own" in (home.folder / "model-card.md").read_text()


def test_only_stages_of_the_ensemble_ran_and_a_second_run_keeps_all(home: Home) -> None:
    assert stages_of(home.outcome) == OWN
    again = home.again("--experiment", "both")
    assert again.code == 0, again.err
    assert again.ran == set()
    assert all(again.state_of(name).startswith("unchanged") for name in STAGES)


def test_commands_treat_it_as_a_run(home: Home, tmp_path: Path) -> None:
    (status,) = [
        each
        for each in json.loads(home.lsdc("status", "--json").out)["runs"]
        if each["name"] == "both"
    ]
    assert (status["state"], status["trained"], status["folds"]) == ("finished", [0, 1], 2)
    report = home.lsdc("report", "both", "--out", tmp_path)
    assert report.code == 0, report.err
    assert (tmp_path / "both-report.html").is_file()
    for words in (("explain", "1", "--run", "both"), ("inspect", "1", "--experiment", "both")):
        assert "an ensemble of demo, canal" in home.lsdc(*words).err
    shown = json.loads(home.lsdc("experiments", "show", "both", "--json").out)[0]
    assert shown["members"] == ["demo", "canal"]
    assert shown["measured"]["run"] == "both"


def test_cleaning_a_member_says_that_the_ensemble_uses_it(home: Home) -> None:
    listed = json.loads(home.lsdc("clean", "canal", "--json").out)["to_remove"]
    (why,) = [each["why"] for each in listed if each["path"].endswith("runs/canal")]
    assert "used by both, which cannot predict without it" in why


def test_predict_equals_the_submission_to_the_bit(home: Home, tmp_path: Path) -> None:
    out = tmp_path / "out"
    root = tmp_path / "competition"
    shutil.copytree(home.ran.data / "test_images", root / "test_images")
    for name in ("test_series_descriptions.csv", "sample_submission.csv"):
        shutil.copy(home.ran.data / name, root)
    done = home.lsdc("predict", root, "--run", "both", "--out", out, "--json")
    assert done.code == 0, done.err
    submission = (home.folder / "submission.csv").read_bytes()
    assert (out / "submission.csv").read_bytes() == submission
    assert submission != (home.root / "runs/demo/submission.csv").read_bytes()
    found = json.loads((out / "predictions.json").read_text())
    assert found["folds"] == ["demo 0", "demo 1", "canal 0", "canal 1"]
    rows = [row for study in found["studies"] for row in study["predictions"]]
    seen = {row["condition"]: set(row["by_fold"]) for row in rows if row["source"] == "images"}
    assert seen[CANAL] == set(found["folds"])
    assert seen["left_subarticular_stenosis"] == {"demo 0", "demo 1"}
    assert any(row["spread"] > 0 for row in rows if row["source"] == "images")


def test_bundle_writes_the_submission_to_the_bit(home: Home, tmp_path: Path) -> None:
    bundle, out = tmp_path / "bundle", tmp_path / "submission.csv"
    write_bundle(home.root, ["both"], bundle, image=kaggle_image())
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert manifest["ensemble"]["members"] == {"demo": "demo", "canal": "canal"}
    command = [sys.executable, bundle / "predict.py", home.ran.data, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.read_bytes() == (home.folder / "submission.csv").read_bytes()
    with pytest.raises(SettingsError, match="both: an ensemble, which is packed alone"):
        write_bundle(home.root, ["demo", "both"], tmp_path / "other", image=kaggle_image())


def test_a_member_that_is_trained_again_is_combined_again(home: Home, tmp_path: Path) -> None:
    before = table(home.folder / "oof.parquet")
    weights = home.root / "runs/canal/fold-1/model.safetensors"
    home.presets.write_text(PRESETS.replace("epochs = 1", "epochs = 2"))
    named = home.again("--experiment", "canal")
    assert named.code == 0, named.err
    retrained = home.root / "runs" / "canal@epochs-2"
    assert (retrained / "fold-1/model.safetensors").read_bytes() != weights.read_bytes()
    again = home.again("--experiment", "both")
    assert again.code == 0, again.err
    assert stages_of(again) == OWN
    after = table(home.folder / "oof.parquet")
    canal = pl.col("condition") == CANAL
    assert after.filter(canal).rows() != before.filter(canal).rows()
    assert after.select("row_id", "label").rows() == before.select("row_id", "label").rows()
    assert after.select(PROBABILITIES).to_numpy().min() >= 0
