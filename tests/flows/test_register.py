"""What `lsdc up` finds of the one before it."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.register import register
from tests.flows.test_run_local import ask


@pytest.fixture
def server(api: str) -> Iterator[str]:
    """The server, which then watches runs as ever."""
    with temporary_settings({PREFECT_API_URL: api}):
        yield api
        asyncio.run(register())


def triggers(api: str) -> dict[str, Any]:
    return {each["name"]: each["trigger"] for each in ask(api, "automations/filter", {})}


def test_registering_again_changes_no_trigger_that_means_the_same(server: str) -> None:
    asyncio.run(register(400))
    first = triggers(server)
    asyncio.run(register(400))
    assert triggers(server) == first
    asyncio.run(register(401))
    assert {each["within"] for each in triggers(server).values()} == {401.0}


def test_run_that_died_before_its_server_started_is_marked_crashed(server: str) -> None:
    asyncio.run(register())
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("train-fold/default")
        run = client.create_flow_run_from_deployment(deployment.id)
        for state in ("Pending", "Running"):
            told = {"state": {"type": state.upper(), "name": state}}
            ask(server, f"flow_runs/{run.id}/set_state", told)
        # An automation that is updated forgets whom it watched, as a server that was away does.
        asyncio.run(register(10))
        deadline = time.monotonic() + 60
        while not (now := client.read_flow_run(run.id)).state.is_crashed():
            assert time.monotonic() < deadline, now.state
            time.sleep(0.5)
    assert "No sign of life for 10 s" in now.state.message
