"""A run's parameters mean the same on every worker and after a Retry."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry

from lsdc.cli.server.prefect_settings import QUIET
from tests.flows.registered import asked, registered


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    """Yield a client of a server that has the deployments and no workers."""
    with registered(api) as client:
        yield client


def worked(client: SyncPrefectClient, run: FlowRun, folder: Path, **more: str) -> FlowRun:
    """Run a flow run as a worker does, in a separate folder; return its record."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-P", "-m", "prefect.engine", str(run.id)],
        cwd=folder,
        env=os.environ | QUIET | {"PREFECT_API_URL": str(client.api_url), **more},
        capture_output=True,
        check=False,
    )
    return client.read_flow_run(run.id)


def reason(run: FlowRun) -> str:
    """Return the reason of a run's state."""
    assert run.state is not None
    return str(run.state.message)


def test_relative_home_is_refused_and_nothing_is_created(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    run = worked(client, asked(client, home="myhome"), tmp_path / "worker")
    assert run.state is not None
    assert run.state.is_failed()
    assert "home=myhome: a run on a worker needs absolute paths" in reason(run)
    assert list((tmp_path / "worker").iterdir()) == []


def test_edited_preset_does_not_change_a_retried_run(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    presets, worker = tmp_path / "mine.toml", tmp_path / "worker"
    presets.write_text('[mine]\nbased_on = "demo"\ntraining.epochs = 9\n')
    # It fails when it first reads the data, which do not exist.
    run = asked(
        client, experiment="mine", home=str(tmp_path / "home"), data=str(tmp_path / "competition")
    )
    run = worked(client, run, worker, LSDC_PRESETS=str(presets))
    assert "competition" in reason(run)
    assert run.parameters["resolved"]["training"]["epochs"] == 9
    assert {"mine", "competition"} <= set(run.tags)
    presets.unlink()
    client.set_flow_run_state(run.id, AwaitingRetry())
    again = worked(client, run, worker)
    assert again.run_count == run.run_count + 1
    assert reason(again) == reason(run)


def test_error_for_an_unknown_preset_names_the_presets_file(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    run = asked(client, experiment="mine", home=str(tmp_path / "home"))
    run = worked(client, run, tmp_path / "worker", LSDC_PRESETS_FOLDER=str(tmp_path))
    assert f"in {tmp_path}/lsdc-presets.toml, which does not exist" in reason(run)
