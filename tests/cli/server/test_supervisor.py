"""Processes that exit: how soon they are restarted, and when the supervisor gives up."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import lsdc.cli.server.supervisor
from lsdc.cli.server.supervisor import Part, Parts
from lsdc.errors import StageError

RUNS_WHILE_FILE_EXISTS = """
import sys, time
from pathlib import Path

while Path(sys.argv[1]).exists():
    time.sleep(0.05)
sys.exit(3)
"""


@pytest.fixture
def part(tmp_path: Path) -> Callable[[str, Path], Part]:
    """Return a function that makes a part which runs while a file exists."""
    (tmp_path / "lives.py").write_text(RUNS_WHILE_FILE_EXISTS)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    return lambda name, needed: Part(name, "lives", [str(needed)], environment, tmp_path)


@pytest.fixture
def parts() -> Parts:
    """Return parts without any yet; their output is kept."""
    return Parts(Console(file=io.StringIO(), width=200))


def said(parts: Parts) -> str:
    assert isinstance(parts.console.file, io.StringIO)
    return parts.console.file.getvalue()


def keep(parts: Parts, *, until: Callable[[], bool]) -> None:
    """Check the parts until a condition holds."""
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, said(parts)
        parts.check()
        time.sleep(0.02)


def set_pauses(monkeypatch: pytest.MonkeyPatch, shortest: float, longest: float) -> None:
    monkeypatch.setattr(lsdc.cli.server.supervisor, "_RESTART_SECONDS", shortest)
    monkeypatch.setattr(lsdc.cli.server.supervisor, "_LONGEST_RESTART_SECONDS", longest)


def test_part_that_was_up_is_restarted_until_it_stays_up(
    part, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lsdc.cli.server.supervisor, "_SHORT_LIFE_SECONDS", 10.0)
    set_pauses(monkeypatch, 0.1, 0.4)
    database = tmp_path / "database"
    database.touch()
    server, training = part("server", database), part("gpu", tmp_path)
    with parts:
        parts.start(server)
        parts.start(training)
        first = training.pid
        server.started -= 10.0  # it has run for long
        database.unlink()
        keep(parts, until=lambda: said(parts).count("exited with code 3") == 5)
        database.touch()
        keep(parts, until=lambda: server.is_running and time.monotonic() - server.started > 0.5)
        assert (training.is_running, training.pid) == (True, first)
    pauses = [line.rpartition("restarting in ")[2] for line in said(parts).splitlines()]
    assert pauses == ["0.1 s", "0.2 s", "0.4 s", "0.4 s", "0.4 s"]


def test_part_that_never_stays_up_is_an_error(
    part, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_pauses(monkeypatch, 0.1, 0.1)
    with parts:
        parts.start(part("server", tmp_path / "nowhere"))
        with pytest.raises(StageError, match=r"server: exited 3 times .* last with code 3"):
            keep(parts, until=lambda: False)


def test_pause_before_a_restart_does_not_delay_other_parts(
    part, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_pauses(monkeypatch, 30.0, 60.0)
    ends = [part(name, tmp_path / "nowhere") for name in ("server", "cpu")]
    began = time.monotonic()
    with parts:
        for each in ends:
            parts.start(each)
        keep(parts, until=lambda: said(parts).count("restarting in 30 s") == 2)
        parts.check()
        assert not any(each.is_running for each in ends)
    assert time.monotonic() - began < 30
