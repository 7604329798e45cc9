import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lsdc.cli.app import app
from lsdc.errors import HomeBusyError, SettingsError
from lsdc.store.experiment_lock import lock_experiment
from lsdc.store.garbage import pin_results
from lsdc.store.home import open_home
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import claim_fold
from lsdc.store.runs import RunRecord

KEPT, OLD = "a" * 16, "b" * 16


def test_clean_keeps_results_that_runs_need(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    for name in (f"crops/{KEPT}", f"crops/{OLD}"):
        (home.root / name).mkdir(parents=True)
        (home.root / name / "crops.npy").write_bytes(bytes(2000))
    kept = Manifest(stage="crops", path=f"crops/{KEPT}", digest="", rows=0, files=())
    pin_results(home, "demo", [kept])
    command = ["clean", "--home", str(home.root)]

    refused = CliRunner().invoke(app, command, input="n\n")
    assert f"crops/{OLD}" in refused.output
    assert "2.0 kB" in refused.output
    assert (home.root / f"crops/{OLD}").exists()

    CliRunner().invoke(app, [*command, "--yes"], catch_exceptions=False)
    assert not (home.root / f"crops/{OLD}").exists()
    assert (home.root / f"crops/{KEPT}/crops.npy").exists()
    assert "nothing to remove" in CliRunner().invoke(app, command).output


def test_clean_is_refused_while_a_run_waits_for_its_folds(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    (home.root / f"crops/{OLD}").mkdir(parents=True)
    command = ["clean", "--home", str(home.root), "--yes"]
    with (
        lock_experiment(home, "demo", "some", say=pytest.fail),
        pytest.raises(HomeBusyError, match="demo"),
    ):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert (home.root / f"crops/{OLD}").exists()
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert not (home.root / f"crops/{OLD}").exists()


def test_trained_folds_are_removed_only_on_request(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    record = RunRecord(
        experiment="demo",
        data="/data/lumbar",
        tables="1",
        settings={"folds": 4},
        begun=datetime.now(UTC),
    )
    for name in ("demo", "demo@other"):
        home.run(name).mkdir(parents=True)
        (home.run(name) / "run.json").write_text(record.model_dump_json())
    (claim_fold(home, "demo", 0, "c" * 64, say=print) / "fit.json").write_text("{}")
    (claim_fold(home, "demo", 0, "d" * 64, say=print) / "fit.json").write_text("{}")
    aside = home.replaced / f"demo-fold-0-{'c' * 16}"
    command = ["clean", "--home", str(home.root), "--yes"]

    kept = CliRunner().invoke(app, command, catch_exceptions=False).output
    assert "a finished fold of demo on /data/lumbar, less than a minute old" in kept
    assert "kept: 1 superseded fold, " in kept
    assert "nothing to remove" in kept
    assert (aside / "fit.json").exists()

    CliRunner().invoke(app, [*command, "--replaced"], catch_exceptions=False)
    assert not aside.exists()
    assert (home.fold("demo", 0) / "fit.json").exists()

    with pytest.raises(SettingsError, match=r"nobody: no such run in .*one of demo, demo@other"):
        CliRunner().invoke(app, [*command, "nobody"], catch_exceptions=False)
    CliRunner().invoke(app, [*command, "demo"], catch_exceptions=False)
    assert [run.name for run in home.runs.iterdir()] == ["demo@other"]


def test_json_lists_what_would_be_removed_and_removes_only_with_yes(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    home.run("demo").mkdir(parents=True)
    (home.root / f"crops/{OLD}").mkdir(parents=True)
    (home.root / f"crops/{OLD}/crops.npy").write_bytes(bytes(2000))
    command = ["clean", "--home", str(home.root), "--json"]
    for more, removed in ([], False), (["--yes"], True):
        found = json.loads(CliRunner().invoke(app, [*command, *more]).stdout)
        (item,) = found["to_remove"]
        assert (item["path"], item["bytes"]) == (str(home.root / f"crops/{OLD}"), 2000)
        assert found["removed"] is removed
        assert [run["run"] for run in found["runs"]] == ["demo"]
        assert (home.root / f"crops/{OLD}").exists() is not removed
