"""`lsdc trigger`: what it checks of a run before a worker takes it, and what it leaves to it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from deployments.register import register
from lsdc.cli.app import app
from lsdc.cli.commands.trigger import find_meaning
from lsdc.cli.server.process import prefect_server
from lsdc.errors import SettingsError
from lsdc.store.home import Home, open_home
from tasks.request import FoldRequest

KNOWN = set(FoldRequest.model_fields)
OF_THE_SECOND = "slices.size_px=64"  # a setting that the first challenge lacks


def meaning(home: Path, **parameters: Any) -> tuple[dict[str, Any], list[str]]:
    """Return what is added to the parameters, and the lines that are printed."""
    lines: list[str] = []
    return find_meaning(parameters, KNOWN, Home(home), lines.append), lines


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """Return a folder that only workers have."""
    return str(tmp_path / "on-the-workers")


def test_settings_for_data_that_only_workers_see_are_left_to_the_run(
    elsewhere: str, tmp_path: Path
) -> None:
    for setting in (OF_THE_SECOND, "crops.size_px=64"):
        added, (line,) = meaning(tmp_path, data=elsewhere, settings=[setting])
        assert added == {}
        assert line.startswith(f"{elsewhere}: no competition's tables on this machine")
        assert "--experiment" in line
    assert meaning(tmp_path, data=elsewhere) == ({}, [])  # there is nothing to check


def test_settings_that_no_challenge_has_are_refused_at_once(elsewhere: str, tmp_path: Path) -> None:
    for settings in (["model.backbon=x"], [OF_THE_SECOND, "crops.size_px=64"], ["epochs"]):
        with pytest.raises(SettingsError, match=r"RSNA 2024 .*--set .*; RSNA 2019 .*--set "):
            meaning(tmp_path, data=elsewhere, settings=settings)


def test_an_experiment_tells_how_to_check_settings_whatever_can_be_seen(
    elsewhere: str, tmp_path: Path
) -> None:
    asked = {"data": elsewhere, "experiment": "ich-demo"}
    added, lines = meaning(tmp_path, **asked, settings=[OF_THE_SECOND])
    assert (added["experiment"], lines) == ("ich-demo", [])
    assert added["resolved"]["challenge"] == "hemorrhage"
    with pytest.raises(SettingsError, match=r"no setting is called 'crops\.size_px'"):
        meaning(tmp_path, **asked, settings=["crops.size_px=64"])


def test_tables_that_can_be_seen_tell_how_to_check_settings(tmp_path: Path) -> None:
    (tmp_path / "stage_2_train.csv").write_text("ID,Label\n")
    assert meaning(tmp_path, data=str(tmp_path), settings=[OF_THE_SECOND]) == ({}, [])
    with pytest.raises(SettingsError, match=r"no setting is called 'crops\.size_px'"):
        meaning(tmp_path, data=str(tmp_path), settings=["crops.size_px=64"])


def test_a_run_without_data_is_of_the_first_challenge(tmp_path: Path) -> None:
    for given in ({}, {"data": "phantom"}):
        added, lines = meaning(tmp_path, **given, settings=["crops.size_px=64"])
        assert (added["experiment"], lines) == ("demo", [])
        with pytest.raises(SettingsError, match=r"no setting is called 'slices\.size_px'"):
            meaning(tmp_path, **given, settings=[OF_THE_SECOND])


def test_a_parameter_of_another_challenge_is_refused(elsewhere: str, tmp_path: Path) -> None:
    meaning(tmp_path, experiment="demo", annotations="raw")
    meaning(tmp_path, experiment="ich-demo", annotations="clean")  # as Prefect's form sends it
    with pytest.raises(SettingsError, match="--annotations raw: the challenge hemorrhage has no"):
        meaning(tmp_path, experiment="ich-demo", data=elsewhere, annotations="raw")


@pytest.mark.slow_prefect
def test_saved_parameters_of_a_deployment_go_on_working(elsewhere: str, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    asked = ["trigger", "prepare/default", "--home", str(home.root), "--json"]
    with prefect_server(home) as server:
        server.wait_until_healthy()
        with temporary_settings({PREFECT_API_URL: server.api.url}):
            asyncio.run(register())
            with get_client(sync_client=True) as client:
                saved = client.read_deployment_by_name("prepare/default").id
                mine = {"annotations": "raw", "data": elsewhere, "settings": [OF_THE_SECOND]}
                asyncio.run(_save(saved, mine))
                done = CliRunner().invoke(app, asked)
                run = client.read_flow_run(json.loads(done.stdout)["flow_run"])
                refused = CliRunner().invoke(app, [*asked, "--experiment", "ich-demo"])
    assert run.name == "prepare-auto"
    assert run.parameters.items() >= mine.items()
    assert done.stderr.replace("\n", " ").startswith(f"{elsewhere}: no competition's tables")
    assert str(refused.exception).startswith("--annotations raw: the challenge hemorrhage has no")


async def _save(deployment: UUID, parameters: dict[str, Any]) -> None:
    async with get_client() as client:
        await client.update_deployment(deployment, DeploymentUpdate(parameters=parameters))
