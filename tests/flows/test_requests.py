"""A run's parameters mean the same on every worker and after a Retry."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter
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


@pytest.mark.slow_prefect
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


@pytest.mark.slow_prefect
def test_run_without_an_experiment_is_named_for_the_chosen_one_and_keeps_it(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    """The worker has no GPU; a Retry after one was added would still take the same preset."""
    data = tmp_path / "competition"
    data.mkdir()
    run = asked(client, home=str(tmp_path / "home"), data=str(data), device="cpu")
    logged = {"PREFECT_LOGGING_EXTRA_LOGGERS": "lsdc", "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO"}
    run = worked(client, run, tmp_path / "worker", **logged)  # as 'lsdc worker' does
    assert run.state is not None
    assert run.state.is_failed()  # the folder has no tables
    assert run.name == "prepare-small"
    assert run.parameters["experiment"] == run.parameters["resolved"]["name"] == "small"
    assert {"small", "competition"} <= set(run.tags)
    said = [log.message for log in client.read_logs(LogFilter(flow_run_id={"any_": [run.id]}))]
    assert any("experiment small: for training without a GPU" in line for line in said), said
    client.set_flow_run_state(run.id, AwaitingRetry())
    again = worked(client, run, tmp_path / "worker")
    assert (again.name, again.parameters["experiment"]) == ("prepare-small", "small")


@pytest.mark.slow_prefect
def test_run_on_the_phantom_without_an_experiment_takes_the_demo(
    client: SyncPrefectClient, phantom: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "phantom"
    shutil.copytree(phantom / "answers", broken / "answers")  # and no tables
    run = asked(client, home=str(tmp_path / "home"), data=str(broken))
    run = worked(client, run, tmp_path / "worker")
    assert (run.name, run.parameters["experiment"]) == ("prepare-demo", "demo")


def test_error_for_an_unknown_preset_names_the_presets_file(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    run = asked(client, experiment="mine", home=str(tmp_path / "home"))
    run = worked(client, run, tmp_path / "worker", LSDC_PRESETS_FOLDER=str(tmp_path))
    assert f"in {tmp_path}/lsdc-presets.toml, which does not exist" in reason(run)
