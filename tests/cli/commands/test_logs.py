"""`lsdc logs` says how a run ended, then prints the end of its log."""

import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lsdc.cli.commands.logs
from lsdc.cli.app import app
from lsdc.errors import DataError, StageError
from lsdc.store.home import Home, open_home
from tasks.progress import Progress
from tasks.status.activity import read_activities
from tasks.status.work import working
from tests.tasks.status.test_attempts import attempt


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = open_home(tmp_path / "home")
    home.run("demo").mkdir(parents=True)
    return home


def printed(home: Home, *arguments: str) -> list[str]:
    result = CliRunner().invoke(
        app, ["logs", *arguments, "--home", str(home.root)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_first_line_says_what_failed_where_when_and_what_to_do(home: Home) -> None:
    log = home.logs / "demo.log"
    attempt(log, StageError("x.dcm: unreadable; remove it"), crops="Completed", train="Failed")
    first, *lines = printed(home, "demo")
    before, _, after = first.partition(" at 20")
    assert before == "demo: failed in train"
    assert after.endswith(": x.dcm: unreadable; remove it; to resume: lsdc run-local --demo")
    assert lines == log.read_text().splitlines()

    attempt(log)
    assert printed(home)[0].startswith("demo: finished at 20")  # also without its name
    assert "; before that, failed in train at 20" in printed(home)[0]

    whole = log.read_text()
    log.write_text(whole[: whole.rindex("20")])  # killed before it could write its last line
    assert printed(home)[0].startswith("demo: killed; it began at 20")
    with working(home, "demo") as work:
        work(Progress("crops train", state="Running"))
        work(Progress("crops train", done=3, total=12))
        while not any("3 of 12" in str(each.doing) for each in read_activities(home)):
            time.sleep(0.05)
        first = printed(home)[0]
        assert first.startswith("demo: running since 20")
        assert first.endswith("; now crops train (3 of 12)")


def test_lines_before_the_last_ones_are_counted(home: Home) -> None:
    attempt(home.logs / "demo.log")
    whole = (home.logs / "demo.log").read_text().splitlines()
    _, more, *lines = printed(home, "demo", "--lines", "2")
    assert lines == whole[-2:]
    assert more == f"... {len(whole) - 2} earlier lines, in {home.logs / 'demo.log'}"


def test_follow_prints_what_is_added_until_the_run_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = home.logs / "demo.log"
    attempt(log)
    begun, release = threading.Event(), threading.Event()

    def work() -> None:
        with working(home, "demo"):
            while not list((home.root / ".active").glob("[!.]*.json")):
                pass
            begun.set()
            release.wait()
            with log.open("a") as file:
                file.write("half a ")
                file.flush()
                file.write("line\nlast\n")

    def let_it_end(_: float) -> None:
        release.set()
        worker.join(0.01)

    worker = threading.Thread(target=work)
    worker.start()
    begun.wait()
    monkeypatch.setattr(lsdc.cli.commands.logs.time, "sleep", let_it_end)
    lines = printed(home, "demo", "--follow")
    worker.join()
    assert lines[-2:] == ["half a line", "last"]
    assert sum("ended with code 0" in line for line in lines) == 1


def test_log_of_an_unknown_run_is_refused_with_the_names_there_are(home: Home) -> None:
    with pytest.raises(DataError, match="no log of other, expected one of demo"):
        printed(home, "other")
    with pytest.raises(DataError, match="no log of a run"):
        printed(home)
