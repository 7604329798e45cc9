"""A superseded fold is moved to replaced/ and restored later, each with a message."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lsdc.store.home import Home, open_home
from lsdc.store.put_aside import claim_fold, describe_age, find_put_aside
from lsdc.store.runs import RECORD, RunRecord

A, B = "a" * 64, "b" * 64
OF = RunRecord(
    experiment="demo",
    data="/data/lumbar",
    tables="1",
    settings={"folds": 4},
    changed={"training.epochs": 2},
    begun=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    opened = open_home(tmp_path / "home")
    opened.run("demo").mkdir(parents=True)
    (opened.run("demo") / RECORD).write_text(OF.model_dump_json())
    return opened


def finish(folder: Path, score: float) -> None:
    pl.DataFrame({"epoch": [1, 2], "score": [0.9, score]}).write_parquet(folder / "history.parquet")
    (folder / "model.safetensors").write_text("weights")
    (folder / "fit.json").write_text(json.dumps({"identity": A}))


def test_fold_is_moved_away_and_restored_with_messages(home: Home) -> None:
    said: list[str] = []
    first = claim_fold(home, "demo", 0, A, say=said.append)
    finish(first, 0.4321)
    assert said == []

    second = claim_fold(home, "demo", 0, B, say=said.append)
    assert second == first
    assert not (second / "model.safetensors").exists()
    whose = (
        "a finished fold of demo on /data/lumbar with training.epochs=2, score 0.4321, "
        "less than a minute old"
    )
    (put_aside,) = said
    assert put_aside.startswith(f"{first}: {whose}, is moved to {home.replaced}/demo-fold-0-")
    assert "is restored when they are the same again" in put_aside
    (fold,) = find_put_aside(home)
    assert (str(fold), fold.finished, fold.holds_training) == (whose, True, True)

    assert claim_fold(home, "demo", 0, A, say=said.append) == first
    assert (first / "model.safetensors").read_text() == "weights"
    assert f"{first}: {whose}, is restored from {home.replaced}" in said[-1]
    assert [each.name for each in home.runs.iterdir()] == ["demo"]


def test_fold_keeps_the_record_of_its_run(home: Home) -> None:
    """The record of the run may have other data later."""
    claim_fold(home, "demo", 0, A, say=print)
    moved = OF.model_copy(update={"data": "/elsewhere"})
    (home.run("demo") / RECORD).write_text(moved.model_dump_json())
    claim_fold(home, "demo", 0, B, say=print)
    (fold,) = find_put_aside(home)
    assert fold.record == OF
    assert not fold.holds_training


def test_other_entries_of_replaced_are_ignored(home: Home) -> None:
    (home.replaced / "my-notes").mkdir(parents=True)
    (home.replaced / f"demo-fold-0-{A[:16]}").symlink_to(home.root)
    assert find_put_aside(home) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (5, "less than a minute"),
        (60, "1 minute"),
        (7300, "2 hours"),
        (86400, "1 day"),
        (9e6, "104 days"),
    ],
)
def test_age_is_written_in_its_largest_unit(seconds: float, said: str) -> None:
    assert describe_age(seconds) == said


def test_age_is_the_age_of_the_training(home: Home) -> None:
    folder = claim_fold(home, "demo", 0, A, say=print)
    finish(folder, 0.5)
    then = time.time() - 3 * 86400
    os.utime(folder / "fit.json", (then, then))
    said: list[str] = []
    claim_fold(home, "demo", 0, B, say=said.append)
    assert "3 days old" in said[0]
