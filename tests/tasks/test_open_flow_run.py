"""Runs on workers need absolute paths, and keep their settings."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.errors import SettingsError
from tasks.open_flow_run import open_requested
from tasks.request import RunRequest


@pytest.fixture
def on_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test as if in a flow run of a deployment."""
    monkeypatch.delenv("LSDC_STORE", raising=False)
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4())
    with FlowRunContext.model_construct(flow_run=run):
        yield


@pytest.mark.parametrize("name", ["data", "home", "weights"])
@pytest.mark.parametrize("path", ["mine", "~mine/folder"])  # there is no user named mine
@pytest.mark.usefixtures("on_worker")
def test_relative_path_is_refused_on_a_worker(
    name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"data": tmp_path, "home": tmp_path / "home", name: Path(path)}
    with pytest.raises(SettingsError, match=f"{name}={path}: .*needs absolute paths"):
        open_requested(LumbarRun, RunRequest.of(experiment="demo", folds=2, **paths), print)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("LSDC_HOME", ""), ("LSDC_HOME", "mine")])
@pytest.mark.usefixtures("on_worker")
def test_worker_without_an_absolute_home_is_refused(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} of the worker={value or 'lsdc-home'}: "):
        open_requested(
            LumbarRun, RunRequest.of(experiment="demo", folds=2, data=None, home=None), print
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_worker")
def test_relative_store_of_a_worker_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_STORE", "shared")
    with pytest.raises(SettingsError, match="LSDC_STORE of the worker=shared"):
        open_requested(
            LumbarRun, RunRequest.of(experiment="demo", folds=2, data=None, home=tmp_path), print
        )
