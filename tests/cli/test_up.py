"""What `lsdc up`, `lsdc worker` and `lsdc trigger` refuse, and how a home's server is found."""

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lsdc.cli.worker
from lsdc.cli.app import app
from lsdc.cli.serve import running_server, the_only_server
from lsdc.cli.worker import visible_gpus
from lsdc.errors import HomeBusyError, LsdcError
from lsdc.store.home import open_home


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the user's own configuration."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "profiles.toml"))


def refuse(*arguments: str | Path) -> str:
    """What the front door would print."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(result.exception, LsdcError), result.output
    return str(result.exception)


def test_port_in_use_is_refused_with_who_holds_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refuse("up", "--home", tmp_path / "home", "--port", str(port))
    assert f"--port {port}" in said
    assert f"process {os.getpid()}," in said


def test_database_of_another_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    said = refuse("up", "--home", tmp_path / "home", "--database", "mysql://me:secret@host/name")
    assert "--database mysql" in said
    assert "secret" not in said


@pytest.mark.parametrize("command", ["trigger train-folds/default", "worker --pool lsdc-gpu"])
def test_without_a_server_it_is_said_how_to_get_one(command: str, tmp_path: Path) -> None:
    said = refuse(*command.split(), "--home", tmp_path / "home")
    assert "no Prefect server" in said
    assert "'lsdc up'" in said


def test_home_has_one_server_which_others_find(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    assert running_server(home) is None
    with the_only_server(home, "http://127.0.0.1:4321"):
        assert running_server(home) == "http://127.0.0.1:4321"
        with (
            pytest.raises(HomeBusyError, match=r"at http://127\.0\.0\.1:4321"),
            the_only_server(home, "http://127.0.0.1:9999"),
        ):
            pass
        assert running_server(home) == "http://127.0.0.1:4321"
    assert running_server(home) is None


def test_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_gpus_of_a_container_count_from_nought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia3", "nvidia7", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(lsdc.cli.worker, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
