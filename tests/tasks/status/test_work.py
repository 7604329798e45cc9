"""Notes of what processes do in a home."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tasks.status.work
from lsdc.store.home import Home, open_home
from tasks.progress import Progress
from tasks.status.activity import SILENT_SECONDS, Activity, new_note, read_activities
from tasks.status.work import working


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def note(home: Home, **changes: object) -> None:
    """Write a note of a process that runs, with changes."""
    now = datetime.now(UTC)
    facts = {"run": "demo", "host": socket.gethostname(), "pid": os.getpid()}
    path = new_note(home)
    path.parent.mkdir(exist_ok=True)
    activity = Activity.model_validate(facts | {"begun": now, "updated": now} | changes)
    path.write_text(activity.model_dump_json())


def test_work_is_noted_while_it_lasts_and_only_then(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.status.work, "SECONDS", 0.01)
    with working(home, "demo", ["index", "fold 0"]) as work:
        work(Progress("index", state="Completed"))
        work(Progress("fold 0", done=3, total=10))
        while not (found := read_activities(home)) or not found[0].doing:
            pass
        (now,) = found
        assert (now.run, now.pid, now.is_alive) == ("demo", os.getpid(), True)
        assert now.overall[0] == "stage 2 of 2"
        assert [(each.name, each.words) for each in now.doing] == [("fold 0", "3 of 10")]
    assert read_activities(home) == []


def test_note_of_an_ended_process_or_a_silent_host_is_of_no_live_one(home: Home) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    now = datetime.now(UTC)
    long_ago = now - timedelta(seconds=SILENT_SECONDS + 1)
    note(home, run="gone", pid=process.pid)
    # The system has given the number of an ended process to this one, which began later.
    note(home, run="reused", begun=datetime(2001, 1, 1, tzinfo=UTC))
    note(home, run="away", host="elsewhere", pid=1)
    note(home, run="silent", host="elsewhere", pid=1, updated=long_ago)
    note(home, run="long", updated=long_ago)  # on this host, a live process is enough
    alive = {each.run: each.is_alive for each in read_activities(home)}
    assert alive == {"gone": False, "reused": False, "away": True, "silent": False, "long": True}


def test_next_work_on_a_run_removes_the_notes_of_killed_processes(home: Home) -> None:
    for run in ("demo", "other"):
        note(home, run=run, begun=datetime(2001, 1, 1, tzinfo=UTC))
    note(home, run="demo", host="elsewhere", pid=7)
    with working(home, "demo"):
        pass
    assert [(each.run, each.host) for each in read_activities(home)] == [
        ("other", socket.gethostname()),
        ("demo", "elsewhere"),
    ]


def test_home_that_refuses_notes_does_not_stop_the_work(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (home.root / ".active").write_text("in the way")
    monkeypatch.setattr(tasks.status.work, "SECONDS", 0.001)
    with caplog.at_level("WARNING", "lsdc.run"), working(home, "demo"):
        while not caplog.records:
            pass
    assert [each.message.partition(":")[0] for each in caplog.records] == [
        "'lsdc status' does not show this run"
    ]
