"""`lsdc up` on a server that an earlier `lsdc up` has set up."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.register import register
from lsdc import __version__
from tests.flows.conftest import ask


@pytest.fixture
def server(api: str) -> Iterator[str]:
    """Yield the server; restore its automations afterwards."""
    with temporary_settings({PREFECT_API_URL: api}):
        yield api
        asyncio.run(register())


def change(what: str, values: Any, method: str = "PATCH") -> None:
    """Make an edit as Prefect's UI does; repeat the request if the server is busy."""
    with get_client(sync_client=True) as client:
        client.request(method, f"/{what}", json=values)


def read(what: str) -> dict[str, Any]:
    """Return an object of the server."""
    with get_client(sync_client=True) as client:
        return client.request("GET", f"/{what}").json()


def triggers(api: str) -> dict[str, Any]:
    return {each["name"]: each["trigger"] for each in ask(api, "automations/filter", {})}


def test_registering_again_does_not_change_equal_triggers(server: str) -> None:
    asyncio.run(register(400))
    first = triggers(server)
    asyncio.run(register(400))
    assert triggers(server) == first
    asyncio.run(register(401))
    assert {each["within"] for each in triggers(server).values()} == {401.0}


def test_changes_made_in_prefect_are_kept(server: str) -> None:
    asyncio.run(register(400))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("submit/default").id
    nightly = [{"schedule": {"cron": "0 3 * * *"}}]
    change(f"deployments/{deployment}/schedules", nightly, method="POST")
    mine = {
        "paused": True,
        "tags": ["night"],
        "description": "mine",
        "parameters": {"folds": 5},
        "work_queue_name": "night",
        "job_variables": {"env": {"LSDC_THREADS": "1"}},
    }
    change(f"deployments/{deployment}", mine | {"concurrency_limit": 2})
    change("work_pools/lsdc-cpu", {"is_paused": True, "concurrency_limit": 3})
    change("work_pools/lsdc-gpu/queues/default", {"is_paused": True, "priority": 4})
    silent = next(
        each for each in ask(server, "automations/filter", {}) if "zombie" in each["name"]
    )
    kept_of_it = ("name", "description", "enabled", "trigger", "actions")
    before = {name: silent[name] for name in kept_of_it}
    added = {"type": "cancel-flow-run"}
    told = {"enabled": False, "description": "mine", "actions": [*silent["actions"], added]}
    change(f"automations/{silent['id']}", before | told, method="PUT")
    # The parameters of another version, as before an upgrade.
    change(f"deployments/{deployment}", {"version": "0", "parameter_openapi_schema": {}})
    try:
        asyncio.run(register(500))
        found = read(f"deployments/{deployment}")
        assert {name: found[name] for name in mine} == mine
        assert found["global_concurrency_limit"]["limit"] == 2
        assert [each["schedule"]["cron"] for each in found["schedules"]] == ["0 3 * * *"]
        assert found["version"] == __version__
        assert "holdout" in found["parameter_openapi_schema"]["properties"]
        pool = read("work_pools/lsdc-cpu")
        assert (pool["is_paused"], pool["concurrency_limit"]) == (True, 3)
        queue = read("work_pools/lsdc-gpu/queues/default")
        assert (queue["is_paused"], queue["priority"]) == (True, 4)
        kept = read(f"automations/{silent['id']}")
        assert (kept["enabled"], kept["description"]) == (False, "mine")
        assert kept["trigger"]["within"] == 500.0
        assert [each["type"] for each in kept["actions"]] == [
            "change-flow-run-state",
            "cancel-flow-run",
        ]
        assert "500 s" in kept["actions"][0]["message"]
    finally:
        for path in ("work_pools/lsdc-cpu", "work_pools/lsdc-gpu/queues/default"):
            change(path, {"is_paused": False, "concurrency_limit": None})
        change(f"automations/{silent['id']}", before, method="PUT")
        change(f"deployments/{deployment}", {"paused": False, "concurrency_limit": None})


def test_deleted_pool_is_created_again_with_its_deployments(server: str) -> None:
    asyncio.run(register())
    change("work_pools/lsdc-gpu", {}, method="DELETE")
    asyncio.run(register())
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("train-fold/default")
    assert deployment.work_pool_name == "lsdc-gpu"


def test_run_that_died_while_no_server_ran_is_marked_crashed(server: str) -> None:
    asyncio.run(register())
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("train-fold/default")
        run = client.create_flow_run_from_deployment(deployment.id)
        for state in ("Pending", "Running"):
            told = {"state": {"type": state.upper(), "name": state}}
            ask(server, f"flow_runs/{run.id}/set_state", told)
        # An updated automation forgets the runs that it watched, as after a restart of the server.
        asyncio.run(register(10))
        deadline = time.monotonic() + 60
        while not (now := client.read_flow_run(run.id)).state.is_crashed():
            assert time.monotonic() < deadline, now.state
            time.sleep(0.5)
    assert "No sign of life for 10 s" in now.state.message
