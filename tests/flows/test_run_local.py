"""A real `lsdc run-local`: its results, its history, and how it ends."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import psutil
import pytest

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.oof import OutOfFold
from lsdc.cli.server.prefect_settings import own_environment, own_settings
from lsdc.cli.server.process import prefect_server
from lsdc.cli.server.run_records import mark_killed
from lsdc.store.home import open_home
from tasks.pools import HEARTBEAT_SECONDS
from tests.leaks import find_leaks
from tests.report.reading import read_page

PROBABILITIES = ["normal_mild", "moderate", "severe"]
PARTS = ["score", "spinal", "foraminal", "subarticular", "any_severe_spinal"]
BEFORE_TRAINING = [
    *("index train", "folds", "annotations"),
    *("coordinates train", "sides train", "crops train"),
]
TEST_SIDE = ["index test", "coordinates test", "sides test", "crops test"]


def test_out_of_fold_table_has_every_row_once(ran) -> None:
    oof = pl.read_parquet(ran.folder / "oof.parquet")
    labels = open_competition(ran.data).labels

    assert oof.columns == OutOfFold.column_names()
    assert oof["row_id"].n_unique() == len(oof) == len(labels)
    assert (oof.select(pl.sum_horizontal(PROBABILITIES)).to_series() - 1).abs().max() < 1e-9
    assert oof.group_by("study_id").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_scores_equal_the_metric_of_the_table(ran) -> None:
    scores = json.loads((ran.folder / "scores.json").read_text())
    oof = pl.read_parquet(ran.folder / "oof.parquet")
    expected = score(open_competition(ran.data).labels, oof).as_dict()

    assert {part: scores[part] for part in PARTS} == pytest.approx(expected, abs=1e-12)
    assert set(scores["weighted_prior"]) == set(PARTS)
    assert set(scores["folds"]) == {"0", "1"}
    assert scores["partial"] is False
    assert scores["selected"] is False


def test_submission_has_the_rows_of_the_sample_in_order(ran) -> None:
    submission = pl.read_csv(ran.folder / "submission.csv")
    sample = pl.read_csv(ran.data / "sample_submission.csv")

    assert submission.columns == sample.columns
    assert submission["row_id"].to_list() == sample["row_id"].to_list()
    assert (submission.select(pl.sum_horizontal(PROBABILITIES)).to_series() - 1).abs().max() < 1e-9


def test_report_has_the_score_and_the_time_of_each_stage(ran) -> None:
    html = (ran.folder / "report.html").read_text(encoding="utf-8")
    page = read_page(html)
    score = json.loads((ran.folder / "scores.json").read_text())["score"]
    assert f"{score:.4f}" in page.words
    times = page.tables["Time and memory of the stages"][1:]
    assert {stage for stage, *_ in times} >= {
        "index train",
        "crops test",
        "fold 0",
        "oof",
        "predict",
    }
    files = [path.read_bytes() for path in ran.data.glob("train_images/*/*/*.dcm")]
    for identifying in ("SYNTHETIC^PHANTOM", "PHANTOM-0", "19000101"):
        assert any(identifying.encode() in content for content in files)
        assert identifying not in html
    assert f"report      {ran.folder / 'report.html'}" in ran.outcome.out.replace("\n", "")


def test_runs_folder_has_only_runs(ran) -> None:
    assert [entry.name for entry in ran.home.joinpath("runs").iterdir()] == ["demo"]
    assert not list(ran.home.rglob(".writing-*"))


def test_printed_table_has_folds_all_and_prior(ran) -> None:
    for words in ("fold 0", "fold 1", "all", "weighted prior", "any severe spinal", "score"):
        assert words in ran.outcome.out
    assert "Traceback" not in ran.outcome.out + ran.outcome.err
    assert ran.outcome.err == ""


def test_catalog_lists_quarantined_files_with_reasons(ran) -> None:
    with duckdb.connect(str(ran.home / "catalog.duckdb"), read_only=True) as catalog:
        bad = catalog.execute("SELECT path, stage, reason FROM quarantine").fetchall()
        splits = catalog.execute("SELECT DISTINCT split FROM instances ORDER BY 1").fetchall()
        tables = {name for (name,) in catalog.execute("SHOW TABLES").fetchall()}
        silent = catalog.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND comment IS NULL"
        ).fetchall()
    not_made_by_default = {"frames", "marks", "motion"}
    assert tables == {*CATALOG, "runs", "sources"} - not_made_by_default
    assert silent == []
    assert len(bad) == 3
    assert {stage for _, stage, _ in bad} == {"index"}
    assert splits == [("test",), ("train",)]


def test_run_prints_the_corrections_even_if_there_are_none(ran) -> None:
    assert "annotations clean: no corrections" in ran.outcome.out
    with duckdb.connect(str(ran.home / "catalog.duckdb"), read_only=True) as catalog:
        (corrected,) = catalog.execute("SELECT count(*) FROM corrections").fetchone()
        (points,) = catalog.execute("SELECT count(*) FROM annotations").fetchone()
    assert corrected == 0
    assert points == len(open_competition(ran.data).annotations)


def test_every_study_of_the_run_can_be_inspected(ran, command, tmp_path: Path) -> None:
    labels = open_competition(ran.data).labels
    tested = pl.read_csv(ran.data / "sample_submission.csv")["row_id"].str.split("_").list.first()
    for study in (labels["study_id"][0], tested[0]):
        out = tmp_path / f"{study}.png"
        outcome = command("inspect", str(study), "--home", ran.home, "--out", out)
        assert outcome.code == 0, outcome.err
        assert out.read_bytes().startswith(b"\x89PNG")


def test_history_has_the_flow_run_with_all_task_runs(ran) -> None:
    with closing(sqlite3.connect(ran.home / "prefect" / "prefect.db")) as database:
        flows = database.execute("SELECT name, state_type FROM flow_run").fetchall()
        tasks = database.execute("SELECT name, state_type FROM task_run").fetchall()
    assert flows[0] == ("pipeline-demo", "COMPLETED")
    assert {name for name, _ in tasks} >= {*BEFORE_TRAINING, *TEST_SIDE, "fold 0", "fold 1"}
    assert {state for _, state in tasks} == {"COMPLETED"}


def test_history_has_scores_and_a_bar_and_table_per_fold(ran) -> None:
    query = """SELECT artifact.key, artifact.data FROM artifact
               JOIN flow_run ON flow_run.id = artifact.flow_run_id WHERE run_count = 1
               AND flow_run.id = (SELECT id FROM flow_run ORDER BY start_time LIMIT 1)"""
    with closing(sqlite3.connect(ran.home / "prefect" / "prefect.db")) as database:
        artifacts = database.execute(query).fetchall()
    keys = [key for key, _ in artifacts if key is not None]
    assert len(keys) == len(set(keys))
    shown = {"score", "oof", "confusions", "fold-0", "fold-0-losses", "fold-1", "fold-1-losses"}
    assert {f"demo-{each}" for each in shown} <= set(keys)
    scores = ran.home / "runs" / "demo" / "scores.json"
    (row,) = json.loads(json.loads(dict(artifacts)["demo-score"]))
    assert row == {"score": json.loads(scores.read_text())["score"], "file": str(scores)}
    losses = json.loads(json.loads(dict(artifacts)["demo-fold-1-losses"]))
    assert [each["epoch"] for each in losses] == [1, 2, 3, 4, 5, 6]


def test_log_has_the_command_the_epochs_and_the_end(ran) -> None:
    text = (ran.home / "logs" / "demo.log").read_text(encoding="utf-8")
    lines = text[: text.index("ended with code")].splitlines()
    assert "command: " in lines[0]
    assert f"--home {ran.home}" in lines[0]
    assert "versions: lsdc " in lines[1]
    assert "ended with code 0 after " in text
    for words in ("fold 0: epoch 1/6, loss", "fold 1: epoch 6/6", ": out of fold: score "):
        assert sum(words in line for line in lines) == 1, words
    assert any("crops train: Finished in state Completed()" in line for line in lines)
    assert len(lines) == len(set(lines))
    assert "hook" not in text
    assert "Timeout of" not in text


def test_run_sends_the_heartbeats_that_the_automation_of_up_expects(ran) -> None:
    with closing(sqlite3.connect(ran.home / "prefect" / "prefect.db")) as database:
        first = database.execute("SELECT start_time, end_time FROM flow_run ORDER BY start_time")
        begun, ended = map(datetime.fromisoformat, first.fetchone())
        signs = database.execute(
            "SELECT occurred FROM events WHERE event = 'prefect.flow-run.heartbeat' "
            "AND occurred BETWEEN ? AND ?",
            [str(begun), str(ended)],
        ).fetchall()
    assert len(signs) >= (ended - begun).total_seconds() // (HEARTBEAT_SECONDS + 5)


@pytest.mark.slow_runs
def test_held_out_studies_are_in_no_fold_and_scored_separately(
    competition: Path, command, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    changes = ("coordinates.source=annotated", "training.epochs=1")
    outcome = command(
        *("run-local", "--data", competition, "--home", home, "--folds", "2"),
        *("--holdout", "20%", "--only-fold", "0"),
        *(word for change in changes for word in ("--set", change)),
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert "held out" in outcome.out
    scores = json.loads((home / "runs" / "demo" / "scores.json").read_text())
    predicted = pl.read_parquet(home / "runs" / "demo" / "holdout.parquet")
    oof = pl.read_parquet(home / "runs" / "demo" / "oof.parquet")
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as catalog:
        dealt = {study for (study,) in catalog.execute("SELECT study_id FROM folds").fetchall()}
        sources = catalog.execute("SELECT study_id, source FROM points").fetchall()
    held_out = set(predicted["study_id"])
    labels = open_competition(competition).labels
    assert held_out | dealt == set(labels["study_id"])
    assert not held_out & dealt
    assert not held_out & set(oof["study_id"])
    assert held_out <= {study for study, _ in sources}
    assert "annotated" not in {source for study, source in sources if study in held_out}
    assert "annotated" in {source for study, source in sources if study in dealt}
    own = labels.filter(pl.col("study_id").is_in(held_out))
    expected = score(own, predicted).as_dict()
    assert {part: scores["holdout"][part] for part in PARTS} == pytest.approx(expected, abs=1e-12)
    assert (scores["holdout"]["studies"], scores["holdout"]["models"]) == (len(held_out), 1)


def states(home: Path) -> set[str]:
    """Return the states of a home's runs and tasks in its history."""
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as database:
        query = "SELECT state_type FROM flow_run UNION SELECT state_type FROM task_run"
        return {state for (state,) in database.execute(query)}


def begin_training(ran, home: Path) -> "subprocess.Popen[str]":
    """Start a long training in a copy of the run's home, which has all that it needs."""
    shutil.copytree(ran.home, home)
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "lsdc", "run-local", "--data", str(ran.data)),
            *("--home", str(home), "--folds", "2", "--set", "training.epochs=100"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow_runs
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ended_run_leaves_no_process_behind(ran, how: signal.Signals, tmp_path: Path) -> None:
    process = begin_training(ran, tmp_path / "home")
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 1/100" in line:
            break
    family: list[psutil.Process] = []
    while len(family) < 2:  # the server, and a training process
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)

    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    if how != signal.SIGKILL:
        assert process.returncode == 130, out + err
        assert "interrupted by SIGTERM; run the same command again" in err
        assert states(tmp_path / "home") <= {"COMPLETED", "CANCELLED"}
        return
    home = open_home(tmp_path / "home")
    with prefect_server(home) as server:
        server.wait_until_healthy()
        said: list[str] = []
        with own_settings(own_environment(home, server.api)):
            mark_killed(home, say=said.append)
            mark_killed(home, say=said.append)
        assert said == ["pipeline-demo: its process was killed; the run is marked as crashed"]
    assert states(home.root) <= {"COMPLETED", "CRASHED"}


def test_interrupt_during_training_ends_it_within_seconds(ran, command, tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = begin_training(ran, home)
    assert process.stdout is not None
    followed = next(line for line in process.stdout if line.startswith("follow it at http://"))
    for line in process.stdout:
        if "epoch 1/100" in line:
            break
    address = command("ui", "--home", home).out.split()[0]
    assert followed.startswith(f"follow it at {address}runs/flow-run/")
    asked = urllib.request.Request(followed.split()[-1], headers={"Accept": "text/html"})
    with urllib.request.urlopen(asked, timeout=60) as page:
        assert b"<html" in page.read()
    seen = command("status", "--home", home, "--json")
    (now,) = [run for run in json.loads(seen.out)["runs"] if run["name"] == "demo@epochs-100"]
    assert (now["state"], now["activities"][0]["pid"]) == ("running", process.pid)
    assert {each["name"] for each in now["activities"][0]["doing"]} >= {"fold 0", "fold 1"}
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert process.returncode == 130, out + err
    assert "interrupted by Ctrl-C; run the same command again" in err
    assert "✗" not in out
    assert "- fold 0: cancelled after" in out
    assert states(home) == {"COMPLETED", "CANCELLED"}
    log = home / "logs" / "demo@epochs-100.log"
    assert "stopped in fold 0, fold 1: interrupted by Ctrl-C" in log.read_text(encoding="utf-8")
    assert not list(home.glob("runs/demo@epochs-100/*/fit.json"))
    assert list(home.glob("runs/demo@epochs-100/*/resume.pt"))
    assert len(list(home.glob("runs/demo/*/fit.json"))) == 2


def test_real_study_is_in_the_out_of_fold_table_and_the_submission(ran, real_data: Path) -> None:
    oof = pl.read_parquet(ran.folder / "oof.parquet").filter(study_id=100206310)
    submission = pl.read_csv(ran.folder / "submission.csv")
    assert len(oof) == 25
    assert oof["label"].null_count() == 0
    real = submission.filter(pl.col("row_id").str.starts_with("100206310_"))
    assert len(real) == 25
    assert real.unique(PROBABILITIES).height > 1


def test_nothing_in_the_home_names_a_patient(ran) -> None:
    named = ["SYNTHETIC^PHANTOM", "SYNTHETIC^PHYSICIAN", "PHANTOM-0", "Synthetic Hospital"]
    image = next(ran.data.glob("train_images/*/*/1.dcm")).read_bytes()
    assert all(name.encode() in image for name in named)  # every file of the phantom names them
    said = [ran.outcome.out, ran.outcome.err]
    assert find_leaks(named, folders=[ran.home], texts=said) == []  # also Prefect's database
