"""A server's password is used wherever Prefect's settings have it."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lsdc.cli.server.process import free_port
from lsdc.store.home import open_home
from tests.flows.pools import installed

PASSWORD = "lsdc:5ecret"


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the Prefect folder of a user without any settings, in an empty working folder."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "user").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "user"


def set_in_profile(user: Path, **settings: str) -> None:
    """Write what `prefect config set` writes."""
    lines = ['active = "mine"', "[profiles.mine]", *(f'{k} = "{v}"' for k, v in settings.items())]
    (user / "profiles.toml").write_text("\n".join(lines))


def is_guarded(api: str) -> bool:
    """Return whether the API refuses requests without a password."""
    try:
        with urllib.request.urlopen(f"{api}/admin/version", timeout=60):
            return False
    except urllib.error.HTTPError as error:
        return error.code == 401


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", "lsdc", *map(str, arguments)]


@contextmanager
def lines_of(*arguments: str | Path) -> Iterator[Iterator[str]]:
    """Run a command and yield its output lines; end it after the block."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.slow_prefect
def test_password_of_a_profile_protects_an_installation(user: Path, tmp_path: Path) -> None:
    of_another = {"PREFECT_API_AUTH_STRING": "of:another"}
    set_in_profile(user, PREFECT_SERVER_API_AUTH_STRING=PASSWORD, **of_another)
    with installed(tmp_path / "home", "--no-workers") as here:
        assert is_guarded(here.api)
        assert "no/such: no such deployment" in here.trigger("no/such").stderr
    assert PASSWORD not in "".join(here.lines)


@pytest.mark.slow_prefect
def test_workers_use_the_password_of_a_profile(user: Path, tmp_path: Path) -> None:
    set_in_profile(user, PREFECT_SERVER_API_AUTH_STRING=PASSWORD)
    with installed(tmp_path / "home") as here:
        here.until(lambda: sum("started!" in line for line in here.lines) == 2)
        set_in_profile(user, PREFECT_API_URL=f"{here.api}/", PREFECT_API_AUTH_STRING=PASSWORD)
        with lines_of("worker", "--pool", "lsdc-cpu", "--home", tmp_path / "scratch") as said:
            assert any("started!" in line for line in said)


@pytest.mark.slow_prefect
def test_password_of_a_profile_protects_the_ui(user: Path, tmp_path: Path) -> None:
    set_in_profile(user, PREFECT_SERVER_API_AUTH_STRING=PASSWORD)
    home = open_home(tmp_path / "home")
    with lines_of("ui", "--home", home.root, "--port", str(free_port(None))) as said:
        assert is_guarded(next(said).split()[0] + "api")


@pytest.mark.slow_prefect
def test_local_run_uses_the_password_of_a_settings_file(phantom: Path, tmp_path: Path) -> None:
    Path(".env").write_text(f"PREFECT_SERVER_API_AUTH_STRING={PASSWORD}\n")
    data = tmp_path / "competition"
    shutil.copytree(phantom, data, ignore=shutil.ignore_patterns("*.dcm"))
    run = command("run-local", "--data", data, "--home", tmp_path / "home", "--folds", "2")
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    # Logged by a task, so the server has accepted the run.
    assert "listed series has a file" in done.stderr
