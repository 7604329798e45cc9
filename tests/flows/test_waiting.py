"""What `lsdc trigger --watch` says of a run that no worker takes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Pending

from deployments.register import register
from lsdc.cli.server.waiting import why_waiting
from tests.flows.registered import asked, registered

POOL = "work_pools/lsdc-cpu"
QUEUE = f"{POOL}/queues/default"


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    """Of a server whose pools have no workers."""
    with registered(api) as client:
        yield client
        httpx.delete(f"{api}/{POOL}")  # with all that was changed of it, and its workers
        asyncio.run(register())


def why(client: SyncPrefectClient, run: FlowRun) -> str:
    """What is said of the run as it is now."""
    return why_waiting(client, client.read_flow_run(run.id))


def call(client: SyncPrefectClient, method: str, what: str, values: Any = None) -> None:
    """What Prefect's pages, or a worker, call."""
    httpx.request(method, f"{client.api_url}/{what}".replace("api//", "api/"), json=values)


def test_what_keeps_workers_from_a_run_is_named_with_what_to_do(client: SyncPrefectClient) -> None:
    run, other = asked(client), asked(client)
    assert "no worker of lsdc-cpu is online; start 'lsdc up'" in why(client, run)
    call(client, "POST", f"{POOL}/workers/heartbeat", {"name": "here-cpu"})
    assert "(here-cpu) has taken it yet" in why(client, run)
    client.set_flow_run_state(other.id, Pending(), force=True)
    assert f"(here-cpu) are at work by {other.name}" in why(client, run)
    call(client, "PATCH", QUEUE, {"concurrency_limit": 1})
    assert f"of work queue default of lsdc-cpu, 1, is reached by {other.name}" in why(client, run)
    call(client, "PATCH", POOL, {"concurrency_limit": 1})
    assert f"limit of lsdc-cpu, 1, is reached by {other.name}; wait" in why(client, run)
    call(client, "PATCH", QUEUE, {"is_paused": True})
    assert "'prefect work-queue resume default --pool lsdc-cpu'" in why(client, run)
    call(client, "PATCH", POOL, {"is_paused": True})
    assert "is paused; 'prefect work-pool resume lsdc-cpu'" in why(client, run)
    call(client, "DELETE", POOL)
    assert "work pool of its deployment is not on the server; 'lsdc up'" in why(client, run)
    for each in (run, other):
        client.set_flow_run_state(each.id, Cancelled(), force=True)


def test_command_says_why_its_run_waits(client: SyncPrefectClient, tmp_path: Path) -> None:
    call(client, "PATCH", POOL, {"is_paused": True})
    watching = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "lsdc", "trigger", "prepare/default", "--watch"),
            *("--home", str(tmp_path)),
        ],
        env=os.environ | {"PREFECT_API_URL": str(client.api_url).rstrip("/")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    try:
        waits = next(line for line in watching.stdout if "waits: " in line)
        watching.send_signal(signal.SIGINT)
        watching.wait()
    finally:
        watching.kill()
        watching.communicate()
    assert waits == (
        "prepare-demo: waits: work pool lsdc-cpu is paused; 'prefect work-pool resume lsdc-cpu'\n"
    )
