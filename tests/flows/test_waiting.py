"""`lsdc trigger --watch`: why a run waits, and the scores at its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Completed, Pending

from deployments.register import register
from lsdc.challenges.lumbar.scoring.metric import PARTS
from lsdc.cli.server.waiting import why_waiting
from tests.flows.registered import asked, registered

POOL = "work_pools/lsdc-cpu"
QUEUE = f"{POOL}/queues/default"


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    """Yield a client of a server whose pools have no workers."""
    with registered(api) as client:
        yield client
        httpx.delete(f"{api}/{POOL}")  # with all changes to it, and its workers
        asyncio.run(register())


def why(client: SyncPrefectClient, run: FlowRun) -> str:
    """Return why the run waits now."""
    return why_waiting(client, client.read_flow_run(run.id))


def call(client: SyncPrefectClient, method: str, what: str, values: Any = None) -> None:
    """Send a request as Prefect's UI or a worker does."""
    address = f"{client.api_url}/{what}".replace("api//", "api/")
    while (answer := httpx.request(method, address, json=values, timeout=60)).status_code == 503:
        pass  # SQLite is locked; Prefect's clients repeat such requests, too
    answer.raise_for_status()


def test_reason_why_a_run_waits_comes_with_advice(client: SyncPrefectClient) -> None:
    run, other = asked(client), asked(client)
    assert "no worker of lsdc-cpu is online; start 'lsdc up'" in why(client, run)
    call(client, "POST", f"{POOL}/workers/heartbeat", {"name": "here-cpu"})
    assert "(here-cpu) has taken it yet" in why(client, run)
    client.set_flow_run_state(other.id, Pending(), force=True)
    assert f"(here-cpu) are busy with {other.name}" in why(client, run)
    call(client, "PATCH", QUEUE, {"concurrency_limit": 1})
    assert f"of work queue default of lsdc-cpu, 1, is reached by {other.name}" in why(client, run)
    call(client, "PATCH", POOL, {"concurrency_limit": 1})
    assert f"limit of lsdc-cpu, 1, is reached by {other.name}; wait" in why(client, run)
    call(client, "PATCH", QUEUE, {"is_paused": True})
    assert "'prefect work-queue resume default --pool lsdc-cpu'" in why(client, run)
    call(client, "PATCH", POOL, {"is_paused": True})
    assert "is paused; run 'prefect work-pool resume lsdc-cpu'" in why(client, run)
    call(client, "DELETE", POOL)
    assert "the server does not have the work pool of its deployment; 'lsdc up'" in why(client, run)
    for each in (run, other):
        client.set_flow_run_state(each.id, Cancelled(), force=True)


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_ends_with_the_scores_of_a_completed_run(
    as_json: bool, client: SyncPrefectClient, tmp_path: Path
) -> None:
    losses = dict.fromkeys(("score", *PARTS), 0.4321)
    fold = {**losses, "weighted_prior": losses}
    scores = {**fold, "folds": {"0": fold}, "partial": True, "selected": False, "holdout": None}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    row = {"score": 0.4321, "file": str(tmp_path / "scores.json")}
    with watching(client, tmp_path, *["--json"] * as_json) as watched:
        lines = watched.stderr if as_json else watched.stdout
        assert lines is not None
        page = lines.readline().strip()
        run_id = UUID(page.rpartition("/")[2])
        client.create_artifact(
            ArtifactCreate(
                key="demo-score", type="table", data=json.dumps([row]), flow_run_id=run_id
            )
        )
        client.set_flow_run_state(run_id, Completed(), force=True)
        out, _ = watched.communicate(timeout=60)
        assert watched.returncode == 0
    if as_json:
        assert json.loads(out) == {"flow_run": str(run_id), "page": page, "code": 0, **row}
        return
    assert "0.4321" in out
    assert out.endswith(f"scores      {tmp_path}/scores.json\n")


@contextmanager
def watching(
    client: SyncPrefectClient, home: Path, *more: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run `lsdc trigger prepare/default --watch` during the block."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "lsdc", "trigger", "prepare/default", "--watch"),
            *("--home", str(home), *more),
        ],
        env=os.environ | {"PREFECT_API_URL": str(client.api_url).rstrip("/")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if "--json" in more else None,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_watch_prints_why_the_run_waits(client: SyncPrefectClient, tmp_path: Path) -> None:
    call(client, "PATCH", POOL, {"is_paused": True})
    with watching(client, tmp_path) as watched:
        assert watched.stdout is not None
        waits = next(line for line in watched.stdout if "waiting: " in line)
        watched.send_signal(signal.SIGINT)
        watched.wait()
    assert waits == (
        "prepare-demo: waiting: work pool lsdc-cpu is paused; "
        "run 'prefect work-pool resume lsdc-cpu'\n"
    )
