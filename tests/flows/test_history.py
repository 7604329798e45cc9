"""A local run is marked as crashed if its process is gone, and not while it lives on any host."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Pending, Running

import lsdc.cli.server.run_records
from lsdc.cli.server.run_records import mark_killed, marked_alive
from lsdc.store.home import Home, open_home

# Holds a run's lock in a home until it is killed.
HOLDS = """
import sys
from pathlib import Path
from uuid import UUID
from lsdc.cli.server.run_records import marked_alive
from lsdc.store.home import open_home
with marked_alive(open_home(Path(sys.argv[1])), UUID(sys.argv[2])):
    print("holds", flush=True)
    sys.stdin.read()
"""


@flow
def pipeline() -> None:
    """Stand for the flow of a local run."""


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_API_URL: api}),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = open_home(tmp_path / "home")
    home.prefect.mkdir()
    return home


def killed(home: Home) -> list[str]:
    """Mark the home's killed runs, and return the messages."""
    said: list[str] = []
    mark_killed(home, say=said.append)
    return said


def test_run_is_marked_crashed_only_once_its_process_is_gone(
    client: SyncPrefectClient, home: Home
) -> None:
    run = client.create_flow_run(pipeline, state=Running())
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDS, str(home.root), str(run.id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holds\n"
        assert killed(home) == []
        assert client.read_flow_run(run.id).state_type == "RUNNING"
    finally:
        holder.kill()
        holder.communicate()
    assert killed(home) == [f"{run.name}: its process was killed; the run is marked as crashed"]
    state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_crashed()
    assert "killed" in str(state.message)
    assert killed(home) == []


def test_run_killed_at_its_start_is_marked_crashed_once_it_is_old(
    client: SyncPrefectClient, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, others = (
        client.create_flow_run(pipeline, state=Pending(), parameters={"home": str(root)})
        for root in (home.root, home.root.with_name("other"))
    )
    assert killed(home) == []  # it may be about to start
    monkeypatch.setattr(lsdc.cli.server.run_records, "_BEGINS_WITHIN", timedelta(seconds=-1))
    assert killed(home) == [
        f"{begun.name}: its process was killed at the start; the run is marked as crashed"
    ]
    assert client.read_flow_run(begun.id).state_type == "CRASHED"
    assert client.read_flow_run(others.id).state_type == "PENDING"
    assert killed(home) == []


def test_ended_runs_and_runs_of_another_server_are_not_changed(
    client: SyncPrefectClient, home: Home
) -> None:
    run = client.create_flow_run(pipeline, state=Completed())
    stranger = "00000000-0000-4000-8000-000000000000"
    for each in (str(run.id), stranger):
        (home.prefect / "local-runs").mkdir(exist_ok=True)
        (home.prefect / "local-runs" / f"{each}.lock").touch()
    assert killed(home) == []
    assert client.read_flow_run(run.id).state_type == "COMPLETED"
    assert [path.stem for path in (home.prefect / "local-runs").iterdir()] == [stranger]


def test_run_that_ends_normally_leaves_no_lock(home: Home) -> None:
    with marked_alive(home, uuid4()):
        assert len(list((home.prefect / "local-runs").iterdir())) == 1
    assert list((home.prefect / "local-runs").iterdir()) == []
