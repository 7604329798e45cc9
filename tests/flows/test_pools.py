"""Runs on worker pools: a real server and workers, a fold that fails, and Retry."""

import json
import shutil
from pathlib import Path

import pytest
from prefect import Flow
from typer.testing import CliRunner

from flows.pipeline import pipeline
from flows.prepare import prepare
from flows.submit import submit
from flows.train_folds import train_fold, train_folds
from lsdc.challenges.lumbar.steps.train_coordinates import train_coordinates
from lsdc.cli.app import app
from tests.flows.conftest import ask
from tests.flows.pools import installed

# In the training child of fold 1: fail once after saving the second epoch.
PLANTED = """
import sys
from pathlib import Path
if "lsdc.challenges.lumbar.training.train_fold_child" in sys.orig_argv:
    import lsdc.training.loop as loop
    from lsdc.errors import StageError
    save = loop.save_progress
    def failing(path, progress, identity):
        save(path, progress, identity)
        planted = Path(planted_once)
        if path.parent.name == "fold-1" and progress.epoch == 2 and not planted.exists():
            planted.touch()
            raise StageError("planted: fold 1 fails once")
    loop.save_progress = failing
"""


def logs_of(home: Path, run: str) -> list[str]:
    result = CliRunner().invoke(app, ["logs", run, "--home", str(home), "--lines", "500"])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_child_flows_take_all_parameters_of_their_parents() -> None:
    def names(flow: Flow) -> set[str]:
        return set(flow.parameters.properties)

    for parent in (pipeline, train_folds, submit):
        assert names(parent) - {"only_fold"} <= names(train_fold)
    for parent in (pipeline, train_folds, prepare, submit):
        assert names(parent) - {"only_fold", "weights"} <= names(train_coordinates)


@pytest.mark.slow_prefect
def test_only_the_failed_fold_resumes_from_its_checkpoint_after_one_retry(
    ran, tmp_path: Path
) -> None:
    home, site = tmp_path / "home", tmp_path / "site"
    shutil.copytree(ran.home, home)
    site.mkdir()
    planted = f"planted_once = {str(tmp_path / 'planted')!r}\n{PLANTED}"
    (site / "sitecustomize.py").write_text(planted)
    # The home has everything but this fold; its folds with other epochs must not change.
    trained = (home / "runs/demo/fold-0/fit.json").stat().st_mtime_ns
    epochs = 3
    asked = ("--data", ran.data, "--folds", "2", "--only-fold", "1")
    asked += ("--set", f"training.epochs={epochs}")
    with installed(home, site=site) as here:
        watched = here.trigger("train-folds/default", *asked, "--watch")
        assert watched.returncode == 1, watched.stdout + watched.stderr
        run_id = watched.stdout.splitlines()[0].rpartition("/")[2]
        assert f"fold 1: epoch 1/{epochs}" in watched.stdout
        (why,) = (
            each for each in watched.stdout.splitlines() if "train-folds-demo: Failed" in each
        )
        assert "1 of 1 training on lsdc-gpu failed: fold 1 " in why
        failed = here.run(run_id)
        assert failed["state_type"] == "FAILED"
        assert "1 of 1 training on lsdc-gpu failed: fold 1 " in failed["state"]["message"]
        assert "planted" in failed["state"]["message"]
        first, *lines = logs_of(home, f"demo@epochs-{epochs}")
        assert first.startswith(f"demo@epochs-{epochs}: failed in fold 1 at ")
        assert "planted: fold 1 fails once" in first
        assert "press Retry in Prefect's UI (flow run train-folds-demo)" in first
        assert any(f"fold 1: epoch 1/{epochs}" in line for line in lines)

        here.retry(run_id)
        assert here.ended(run_id)["state_type"] == "COMPLETED"
        assert {name: run["run_count"] for name, run in here.children(run_id).items()} == {
            "train-fold-1-demo": 2
        }
        # Prefect's UI drops a column without a name; the log must not have Prefect's hooks.
        shown = {each["key"]: each["data"] for each in ask(here.api, "artifacts/latest/filter", {})}
        assert [row["log loss"] for row in json.loads(shown["demo-oof"])][-1] == "score"
        losses = json.loads(shown["demo-fold-1-losses"])
        assert [row["epoch"] for row in losses] == list(range(1, epochs + 1))
        of_this_run = {"logs": {"flow_run_id": {"any_": [run_id]}}}
        logged = ask(here.api, "logs/filter", of_this_run)
        assert logged
        assert not [each for each in logged if "report_state" in each["message"]]
    assert logs_of(home, f"demo@epochs-{epochs}")[0].startswith(f"demo@epochs-{epochs}: finished")
    assert not list((home / ".active").iterdir())
    fit = json.loads((home / f"runs/demo@epochs-{epochs}/fold-1/fit.json").read_text())
    assert [process["from_epoch"] for process in fit["processes"]] == [1, 3]
    assert (home / "runs/demo/fold-0/fit.json").stat().st_mtime_ns == trained
