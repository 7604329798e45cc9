"""`lsdc up`, `worker` and `trigger`: what they refuse, and how they find a home's server."""

import contextlib
import os
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

import lsdc.cli.server.connection
import tasks.device
from lsdc.cli.app import app, main
from lsdc.cli.commands.up import own_name
from lsdc.cli.commands.worker import pool_workers
from lsdc.cli.server.prefect_settings import own_api
from lsdc.cli.server.process import exclusive_server, free_port, prefect_server, running_server
from lsdc.errors import HomeBusyError, LsdcError, SettingsError
from lsdc.store.home import open_home
from tasks.device import visible_gpus
from tests.flows.pools import installed


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the user's own configuration."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "profiles.toml"))


def refuse(*arguments: str | Path) -> str:
    """Return the error message of a command."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(result.exception, LsdcError), result.output
    return str(result.exception)


def test_port_in_use_is_refused_and_its_process_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refuse("up", "--home", tmp_path / "home", "--port", str(port))
    assert f"--port {port}" in said
    assert f"process {os.getpid()}," in said


def test_database_of_another_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    said = refuse("up", "--home", tmp_path / "home", "--database", "mysql://me:secret@host/name")
    assert "got mysql://" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "url",
    [
        "me:secret@host/name",
        "postgresql:/me:secret@host/name",
        "postgresql://me:secret@host:port/name",
        "postgresql://me:secret@[host/name",
        "postgresql://me:secret/name",
    ],
)
def test_invalid_database_address_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    said = refuse("up", "--home", tmp_path / "home", "--database", url)
    assert "expected postgresql://" in said
    assert "secret" not in said


def test_host_name_that_cannot_be_resolved_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "nowhere.invalid")
    said = refuse("up", "--home", tmp_path / "home", "--host", "0.0.0.0")
    assert "nowhere.invalid, cannot be resolved" in said


def test_second_server_of_a_home_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with exclusive_server(home, f"http://127.0.0.1:{port}"):
            said = refuse("up", "--home", home.root, "--port", str(port))
    assert f"already runs for this home, at http://127.0.0.1:{port};" in said


def test_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    said = refuse("up", "--home", tmp_path / "home", "--host", "192.0.2.1", "--port", "4999")
    assert "--host 192.0.2.1: cannot listen there" in said
    assert "--port" not in said


@pytest.mark.parametrize("body", [b"<html>a page</html>", b""])
def test_address_without_a_prefect_api_is_refused(
    body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("PREFECT_API_URL", address)
        said = refuse("trigger", "train-folds/default", "--home", tmp_path / "home")
        server.shutdown()
    assert f"{address}, from the environment variable PREFECT_API_URL: no Prefect server" in said
    assert "/api" in said


def test_server_that_stops_answering_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Leaving(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "version" in self.path:
                self.answer(b'"3.8.8"')
            if "csrf-token" in self.path:
                self.send_error(404)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if "flows/filter" in self.path:
                self.answer(b"[]")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Leaving) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
        monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
        monkeypatch.setattr("sys.argv", ["lsdc", "trigger", "x/y", "--home", str(tmp_path / "x")])
        with pytest.raises(SystemExit) as ended:
            main()
        server.shutdown()
    assert ended.value.code == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lsdc: ")]
    assert len(said) == 1
    assert said[0].startswith("lsdc: the Prefect server no longer answers (")


@pytest.mark.parametrize(
    ("host", "family"), [("::1", socket.AF_INET6), ("localhost", None), ("127.0.0.1", None)]
)
def test_address_of_a_server_has_its_host_name(host: str, family: int | None) -> None:
    with contextlib.closing(socket.socket(family or socket.AF_INET)) as taken:
        taken.bind(("::1" if family else "127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        if host != "localhost":
            with pytest.raises(SettingsError, match=rf"--port {port}: cannot listen there"):
                free_port(port, host)
    assert urlsplit(f"http://{own_name(host)}:{free_port(None, host)}").hostname == host


@pytest.mark.slow_prefect
@pytest.mark.parametrize("host", ["::1", "::"])
def test_installation_on_ipv6_answers(host: str, tmp_path: Path) -> None:
    with installed(tmp_path / "home", "--no-workers", "--host", host) as here:
        port = urlsplit(here.api).port
        for name in {"::1": ["[::1]"], "::": ["[::1]", "127.0.0.1"]}[host]:
            with urllib.request.urlopen(f"http://{name}:{port}/api/health", timeout=60) as answer:
                assert answer.status == 200
        assert "no/such: no such deployment" in here.trigger("no/such").stderr


@pytest.mark.parametrize("command", ["trigger train-folds/default", "worker --pool lsdc-gpu"])
def test_error_without_a_server_says_how_to_start_one(command: str, tmp_path: Path) -> None:
    said = refuse(*command.split(), "--home", tmp_path / "home")
    assert "no Prefect server" in said
    assert "'lsdc up'" in said


def test_command_waits_until_the_homes_server_has_started(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    with prefect_server(home) as server:
        result = CliRunner().invoke(app, ["trigger", "no/such", "--home", str(home.root)])
        assert str(result.exception).startswith(f"no/such: no such deployment on {server.api.url}")
    waits = f"{server.api.url}: waiting until the Prefect server of {home.root} has started\n"
    assert result.output == waits


def test_server_of_a_home_that_never_answers_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lsdc.cli.server.connection, "_OWN_SECONDS", 1.0)
    home = open_home(tmp_path / "home")
    address = f"http://127.0.0.1:{free_port(None)}"
    with exclusive_server(home, address):
        said = refuse("trigger", "train-folds/default", "--home", home.root)
    assert said.startswith(f"{address}/api: the Prefect server of {home.root} does not answer")
    assert "PREFECT_API_URL" not in said


def test_command_stops_waiting_if_the_homes_server_exits(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    ended = exclusive_server(home, f"http://127.0.0.1:{free_port(None)}")
    ended.__enter__()
    timer = threading.Timer(2.0, lambda: ended.__exit__(None, None, None))
    timer.start()
    said = refuse("trigger", "train-folds/default", "--home", home.root)
    timer.join()
    assert f"no Prefect server: none is running for {home.root}" in said


def test_home_has_one_server_that_other_commands_find(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    assert running_server(home) is None
    with exclusive_server(home, "http://127.0.0.1:4321"):
        assert running_server(home) == "http://127.0.0.1:4321"
        with (
            pytest.raises(HomeBusyError, match=r"at http://127\.0\.0\.1:4321"),
            exclusive_server(home, "http://127.0.0.1:9999"),
        ):
            pass
        assert running_server(home) == "http://127.0.0.1:4321"
    assert running_server(home) is None


def test_only_visible_gpus_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert visible_gpus() == ["2", "5"]
    for none in ("", "-1", "-1,0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert visible_gpus() == []


def test_hidden_gpus_leave_one_worker_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    (part,) = pool_workers("lsdc-gpu", open_home(tmp_path), own_api("http://127.0.0.1:1"), None)
    assert (part.name, part.environment["CUDA_VISIBLE_DEVICES"]) == ("gpu", "-1")


def test_gpus_of_a_container_are_numbered_from_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia3", "nvidia7", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(tasks.device, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]


def test_gpu_workers_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    monkeypatch.setenv("LSDC_THREADS", "9")
    parts = pool_workers(
        "lsdc-gpu", open_home(tmp_path / "home"), own_api("http://127.0.0.1:1"), None
    )
    told = ("CUDA_VISIBLE_DEVICES", "LSDC_THREADS")
    assert [[part.environment[name] for name in told] for part in parts] == [["2", "4"], ["5", "4"]]
