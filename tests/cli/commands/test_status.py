"""`lsdc status` shows a home without a lock, a change or Prefect."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import tasks.status.overview
from lsdc.cli.app import app
from lsdc.errors import DataError
from lsdc.store.garbage import pin_results, pin_so_far
from lsdc.store.home import Home, build_lock, open_home
from lsdc.store.manifest import Manifest
from lsdc.store.runs import RunRecord
from tasks.status.work import working
from tests.tasks.status.test_work import note

RESULT = "index/" + "a" * 16


def run_of(home: Home, name: str, *, score: float | None, trained: int) -> None:
    record = RunRecord(
        experiment="demo",
        data="/data/a",
        tables="1",
        settings={"folds": 4},
        begun=datetime.now(UTC),
    )
    folder = home.run(name)
    for fold in range(trained):
        (folder / f"fold-{fold}").mkdir(parents=True)
        (folder / f"fold-{fold}/fit.json").write_text("{}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(record.model_dump_json())
    if score is not None:
        scores = {"score": score, "weighted_prior": {"score": 0.9}, "partial": True}
        (folder / "scores.json").write_text(json.dumps(scores))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with a finished run, an unfinished one and a result of 5000 bytes and more."""
    home = open_home(tmp_path / "home")
    run_of(home, "demo", score=0.5, trained=3)
    run_of(home, "demo@other", score=None, trained=0)
    (home.root / RESULT).mkdir(parents=True)
    (home.root / RESULT / "big.npy").write_bytes(bytes(5000))
    pl.DataFrame({"path": ["a", "b", "b"]}).write_parquet(home.root / RESULT / "quarantine.parquet")
    result = Manifest(stage="index", path=RESULT, digest="", rows=0, files=())
    pin_results(home, "demo", [result])
    pin_so_far(home, "demo@other", [result])
    return home


def status(home: Home) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["status", "--home", str(home.root), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found | {"run": {run["name"]: run for run in found["runs"]}}


def test_status_has_the_facts_of_the_home(home: Home) -> None:
    found = status(home)
    demo, other = found["run"]["demo"], found["run"]["demo@other"]
    assert (demo["state"], demo["score"], demo["prior"]) == ("finished", 0.5, 0.9)
    assert (demo["trained"], demo["folds"], demo["marks"]) == ([0, 1, 2], 4, ["partial"])
    assert (demo["data"], demo["quarantined"]) == ("/data/a", 2)
    assert (other["state"], other["score"]) == ("unfinished", None)
    (index,) = found["stages"]
    table = (home.root / RESULT / "quarantine.parquet").stat().st_size
    assert (index["name"], index["results"], index["bytes"]) == ("index", 1, 5000 + table)
    assert 0 < found["free_bytes"] < shutil.disk_usage(home.root).total
    assert (found["server"]["address"], found["holder"]) == (None, None)


def test_status_shows_what_runs_and_who_else_has_locked_the_home(home: Home) -> None:
    with working(home, "demo"), build_lock(home, wait=False, say=pytest.fail):
        while not list((home.root / ".active").glob("[!.]*.json")):
            pass
        found = status(home)
        demo = found["run"]["demo"]
        assert (demo["state"], demo["activities"][0]["pid"]) == ("running", os.getpid())
        assert found["holder"] is None  # the same process
        printed = CliRunner().invoke(app, ["status", "--home", str(home.root)]).output
        assert f"process {os.getpid()} on " in printed
        assert "demo is running: " in printed
    with build_lock(home, wait=False, say=pytest.fail):
        assert status(home)["holder"]["pid"] == os.getpid()


def test_run_whose_process_is_gone_was_killed(home: Home) -> None:
    home.logs.mkdir()
    begun = "2026-11-30 10:00:00,000 INFO    lsdc: command: lsdc run-local\n"
    (home.logs / "demo.log").write_text(begun)
    note(home, begun=datetime(2001, 1, 1, tzinfo=UTC))
    demo = status(home)["run"]["demo"]
    assert demo["state"] == "killed"
    assert demo["last"].startswith("killed; last seen at ")
    assert demo["activities"] == []


def contents(home: Home) -> dict[str, tuple[int, int]]:
    files = [each for each in home.root.rglob("*") if each.is_file()]
    return {str(each): (each.stat().st_size, each.stat().st_mtime_ns) for each in files}


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["logs", "demo"]])
def test_status_and_logs_take_no_lock_and_change_nothing(
    home: Home, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("took a lock")

    home.logs.mkdir()
    (home.logs / "demo.log").write_text("a line\n")
    (home.prefect).mkdir()
    (home.prefect / "server.json").write_text('{"address": "http://127.0.0.1:1"}')
    before = contents(home)
    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(fcntl, "lockf", fail)
    with pytest.raises(AssertionError, match="took a lock"):
        open_home(home.root)
    result = CliRunner().invoke(app, [*command, "--home", str(home.root)], catch_exceptions=False)
    assert result.exit_code == 0
    if command == ["status"]:
        assert "http://127.0.0.1:1/ does not answer" in result.output
    assert contents(home) == before


def test_size_of_a_folder_with_very_many_files_is_a_lower_bound(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.status.overview, "_MOST_FILES", 1)
    (index,) = status(home)["stages"]
    assert not index["is_complete"]
    assert 0 < index["bytes"] <= 5000
    printed = CliRunner().invoke(app, ["status", "--home", str(home.root)]).output
    assert "at least " in printed


def test_damaged_run_is_shown_with_the_reason(home: Home) -> None:
    (home.run("demo") / "run.json").write_text("{")
    (home.run("demo") / "scores.json").write_text("[]")
    printed = CliRunner().invoke(app, ["status", "--home", str(home.root)]).output
    assert "run.json: expected the description of a run" in " ".join(printed.split())
    assert status(home)["run"]["demo"]["score"] is None


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_number_is_cut_at_any_width(home: Home, columns: int) -> None:
    shown = CliRunner().invoke(
        app, ["status", "--home", str(home.root)], env={"COLUMNS": str(columns)}
    )
    for number in ("0.5000", "3 of 4", "0 of 4"):
        assert number in shown.output
    assert "…" not in shown.output
    assert shown.output.startswith(f"{home.root}\n")


def test_folder_that_is_no_home_is_refused_and_stays_empty(tmp_path: Path) -> None:
    for command in ("status", "logs"):
        with pytest.raises(DataError, match="not a home"):
            CliRunner().invoke(app, [command, "--home", str(tmp_path)], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


def test_status_needs_no_prefect(home: Home) -> None:
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom lsdc.cli.app import app\n"
        f"assert not CliRunner().invoke(app, ['status', '--home', {str(home.root)!r}]).exit_code\n"
        "print({'prefect', 'duckdb', 'torch', 'sqlalchemy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
