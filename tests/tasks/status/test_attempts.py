"""How a run ended, as its logs tell."""

import logging
from contextlib import suppress
from pathlib import Path

import pytest

from lsdc.errors import HomeBusyError, InterruptedRunError, StageError
from lsdc.store.home import Home, open_home
from tasks.progress import Progress
from tasks.status.attempts import flow_logs, last_attempt, log_files, read_attempts, read_lines
from tasks.status.log import run_log
from tasks.status.rows import Rows


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def attempt(log: Path, error: BaseException | None = None, **states: str) -> None:
    """Write an attempt; `states` are the last states of its task runs."""
    rows = Rows()
    for name, state in states.items():
        rows.update(Progress(name, state="Running"))
        rows.update(Progress(name, state=state))
    with (
        suppress(BaseException),
        run_log(log, None, call=f"lsdc run-local --{log.stem}", rows=rows),
    ):
        logging.getLogger("lsdc.test").info("%s works", log.stem)
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "states", "words"),
    [
        (None, {"crops": "Completed"}, "finished at "),
        (
            StageError("disk: gone; mount it: now"),
            {"crops": "Completed", "train": "Failed"},
            "failed in train at ",
        ),
        (HomeBusyError("in use"), {}, "postponed at "),
        (KeyError("x"), {"crops": "Completed"}, "failed at "),
        (
            InterruptedRunError("interrupted"),
            {"a": "Cancelled", "b": "Running"},
            "interrupted in a, b at ",
        ),
    ],
)
def test_end_of_an_attempt_is_read_as_it_was_written(
    home: Home, error: BaseException | None, states: dict[str, str], words: str
) -> None:
    attempt(home.logs / "demo.log", error, **states)
    (found,) = read_attempts(home.logs / "demo.log")
    assert str(found).startswith(words)
    why = {"KeyError": "KeyError: 'x'"}.get(type(error).__name__, str(error))
    assert found.why == ("" if error is None else why)
    assert found.call == "lsdc run-local --demo"


def test_attempt_without_an_end_has_no_state(home: Home) -> None:
    log = home.logs / "demo.log"
    attempt(log, StageError("once"))
    attempt(log)
    whole = log.read_text()
    log.write_text(whole[: whole.rindex("ended with code")])
    first, second = read_attempts(log)
    assert (first.state, second.state, second.code) == ("failed", "", None)


def test_last_attempt_is_found_at_the_end_of_a_long_log(home: Home) -> None:
    log = home.logs / "demo.log"
    attempt(log, StageError("planted"), train="Failed")
    whole = log.read_text()
    place = whole.index("stopped in train") - len("2026-11-30 10:00:00,000 ERROR   lsdc: ")
    log.write_text(whole[:place] + "between\n" * 50_000 + whole[place:])
    found = last_attempt(home, "demo", tail=True)
    assert found is not None
    assert (found.where, found.why, found.begun) == ("train", "planted", None)


def test_of_flow_runs_that_failed_together_the_first_is_the_cause(home: Home) -> None:
    folder = flow_logs(home, "demo")
    attempt(folder / "another-day.log", StageError("long ago"))
    earlier = (folder / "another-day.log").read_text()
    (folder / "another-day.log").write_text(earlier.replace(earlier[:4], "1999"))
    lines = [
        ("parent", "10:00:00", "command: flow run train"),
        ("child", "10:00:01", "command: child flow run train-fold-1"),
        ("child", "10:05:00", "stopped in fold 1: planted"),
        ("child", "10:05:00", "ended with code 1 after 299 s"),
        ("parent", "10:05:02", "stopped: 1 of 4 trainings failed"),
        ("parent", "10:05:02", "ended with code 1 after 302 s"),
    ]
    for name, time, text in lines:
        with (folder / f"{name}.log").open("a") as log:
            log.write(f"2026-11-30 {time},123 INFO    lsdc: {text}\n")
    found = last_attempt(home, "demo")
    assert found is not None
    assert (found.where, found.why) == ("fold 1", "planted")
    assert (found.call, found.log.stem) == ("flow run train", "parent")
    assert len(log_files(home, "demo")) == 3
    printed, before = read_lines(log_files(home, "demo"), 6)
    assert [line.partition("lsdc: ")[2] for line in printed] == [text for *_, text in lines]
    assert before == len(earlier.splitlines())


def test_lines_of_rotated_files_come_first_and_a_traceback_stays_whole(home: Home) -> None:
    home.logs.mkdir()
    (home.logs / "demo.log.1").write_text("2026-11-30 10:00:00,000 INFO    a: first\n")
    (home.logs / "demo.log").write_text(
        "2026-11-30 10:00:02,000 ERROR   a: second\nTraceback\n  line\n"
    )
    other = home.logs / "other.log"
    other.write_text("2026-11-30 10:00:03,000 INFO    b: third\n")
    lines, before = read_lines([other, home.logs / "demo.log"], 4)
    assert [line.rpartition(": ")[2].strip() for line in lines] == [
        "second",
        "Traceback",
        "line",
        "third",
    ]
    assert before == 1


def test_finished_child_does_not_hide_that_its_parent_was_killed(home: Home) -> None:
    folder = flow_logs(home, "demo")
    folder.mkdir(parents=True)
    lines = {
        "parent": [("10:00:00", "command: flow run train")],
        "child": [
            ("10:00:01", "command: child flow run train-fold-1"),
            ("10:05:00", "ended with code 0 after 299 s"),
        ],
    }
    for name, found in lines.items():
        text = "".join(f"2026-11-30 {time},123 INFO    lsdc: {words}\n" for time, words in found)
        (folder / f"{name}.log").write_text(text)
    last = last_attempt(home, "demo")
    assert last is not None
    assert (last.state, last.call) == ("", "flow run train")
