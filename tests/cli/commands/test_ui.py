"""`lsdc ui` shows a home's history without blocking runs."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import lsdc.cli.commands.ui
from lsdc.cli.app import app
from lsdc.cli.server.prefect_settings import own_api
from lsdc.store.home import Home, open_home

ADDRESS = "http://127.0.0.1:4321"
BUILDS = """
import sys
from pathlib import Path
from lsdc.store.home import Home, build_lock
with build_lock(Home(Path(sys.argv[1])), wait=False, say=print):
    print("builds", flush=True)
    sys.stdin.read()
"""


@contextmanager
def no_server(*_: object, **__: object) -> Iterator[SimpleNamespace]:
    """Replace the server, which takes seconds to start."""
    healthy = SimpleNamespace(wait_until_healthy=lambda: None)
    yield SimpleNamespace(**vars(healthy), api=own_api(ADDRESS), address=ADDRESS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(lsdc.cli.commands.ui, "prefect_server", no_server)
    monkeypatch.setattr(lsdc.cli.commands.ui, "mark_killed", lambda *_, **__: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(threading.Event, "wait", lambda *_: True)
    return open_home(tmp_path / "home")


def test_history_is_shown_while_a_run_uses_the_home(home: Home) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUILDS, str(home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"builds\n"
        shown = CliRunner().invoke(app, ["ui", "--home", str(home.root)], catch_exceptions=False)
        builder.communicate(b"")
    assert shown.exit_code == 0, shown.output
    assert f"{ADDRESS}/" in shown.output
