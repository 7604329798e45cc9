"""`lsdc inspect` on the command line."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.cli.commands.inspect import inspect
from lsdc.errors import DataError
from lsdc.store.home import open_home
from tests.challenges.lumbar.report.conftest import SLICES, results, studies

__all__ = ["results", "studies"]  # fixtures of the sheets' tests

app = typer.Typer()
app.command()(inspect)


@pytest.fixture
def home(results: Path, tmp_path: Path) -> Path:
    """Return a home with these results of a run."""
    opened = open_home(tmp_path / "home")
    shutil.copytree(results, opened.root / "all" / "0")
    run = opened.run("demo")
    run.mkdir(parents=True)
    (run / "rests-on.json").write_text(json.dumps(["all/0"]))
    (run / "experiment.json").write_text(Experiment(name="demo", slices=SLICES).model_dump_json())
    return opened.root


def typed(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_inspect_draws_one_picture_of_a_study(
    home: Path, studies: list[int], tmp_path: Path
) -> None:
    out = tmp_path / "sheet.png"
    assert typed(studies[0], "--home", home, "--out", out).strip() == str(out)
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 2000


def test_unknown_study_and_unknown_experiment_are_named(home: Path) -> None:
    with pytest.raises(DataError, match="study 8: no image in the results"):
        typed(8, "--home", home)
    with pytest.raises(DataError, match="no results of exp118; compute them with"):
        typed(8, "--home", home, "--experiment", "exp118")
    with pytest.raises(DataError, match=r"of demo@x; .*--experiment demo', or choose demo$"):
        typed(8, "--home", home, "--experiment", "demo@x")


def test_results_of_another_version_are_named(home: Path) -> None:
    made_with = home / "runs" / "demo" / "experiment.json"
    made_with.write_text(json.dumps({"slices": {"a setting of old": 1}}))
    with pytest.raises(
        DataError, match=r"experiment\.json: expected settings written by this version"
    ):
        typed(8, "--home", home)
