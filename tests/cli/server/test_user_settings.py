"""The user's Prefect settings that lsdc uses are found wherever Prefect finds them."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import certifi
import psutil
import pytest
from typer.testing import CliRunner

from lsdc.cli.app import app
from lsdc.cli.server.network import find_unusable, hide_password, reach_directly
from lsdc.cli.server.prefect_settings import own_api, own_environment, without_prefect
from lsdc.cli.server.process import free_port
from lsdc.cli.server.user_settings import UserSettings, read_user_settings
from lsdc.errors import SettingsError

CLOUD = "/api/accounts/a/workspaces/b"


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a user without any settings, which is also the working folder."""
    for name in os.environ.keys() - without_prefect(os.environ).keys():
        monkeypatch.delenv(name)
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSLKEYLOGFILE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


class Asked(BaseHTTPRequestHandler):
    """An API other than Prefect's that accepts only requests with the key."""

    seen: ClassVar[list[tuple[str | None, str | None]]] = []

    def do_GET(self) -> None:
        """Record the request."""
        authorization = self.headers.get("Authorization")
        self.seen.append((authorization, self.headers.get("X-Gate")))
        self.send_response(404 if (authorization or "").startswith("Bearer ") else 401)
        self.end_headers()

    def do_POST(self) -> None:
        """Record the request."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def cloud() -> Iterator[str]:
    Asked.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}{CLOUD}"
        server.shutdown()


def profile(folder: Path, **settings: str) -> None:
    lines = ['active = "mine"', "[profiles.mine]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "profiles.toml").write_text("\n".join(lines))


def set_url(how: str, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Configure an API in one of the possible places; return how a message names the place."""
    match how:
        case "environment":
            monkeypatch.setenv("PREFECT_API_URL", url)
            return "the environment variable PREFECT_API_URL"
        case ".env":
            (folder / how).write_text(f"PREFECT_API_URL={url}\n")
            return f"PREFECT_API_URL in {folder}/.env"
        case "prefect.toml":
            (folder / how).write_text(f'[api]\nurl = "{url}"\n')
            return f"api.url in {folder}/prefect.toml"
        case "pyproject.toml":
            (folder / how).write_text(f'[tool.prefect.api]\nurl = "{url}"\n')
            return f"tool.prefect.api.url in {folder}/pyproject.toml"
    profile(folder, PREFECT_API_URL=url)
    return f"PREFECT_API_URL of the profile mine in {folder}/profiles.toml"


PLACES = ["environment", ".env", "prefect.toml", "pyproject.toml", "profile"]


@pytest.mark.parametrize("how", PLACES)
def test_api_is_found_in_every_place_and_the_place_is_named(
    how: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = set_url(how, "http://head.example:4200/api/", user, monkeypatch)
    found = read_user_settings()
    assert found.api is not None
    assert found.api.url == "http://head.example:4200/api"
    assert found.source == source


def test_places_have_the_same_precedence_as_in_prefect(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for how in reversed(PLACES):
        source = set_url(how, f"http://{how.strip('.')}.example/api", user, monkeypatch)
        found = read_user_settings()
        assert found.api is not None
        assert (found.api.url, found.source) == (f"http://{how.strip('.')}.example/api", source)


def refuse(tmp_path: Path) -> str:
    result = CliRunner().invoke(app, ["trigger", "x/y", "--home", str(tmp_path / "home")])
    assert isinstance(result.exception, SettingsError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("how", ["environment", "profile"])
def test_address_without_an_answer_is_refused_and_its_place_is_named(
    how: str, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port(None)}/api"
    source = set_url(how, url, user, monkeypatch)
    said = refuse(tmp_path)
    assert said.startswith(f"{url}, from {source}: no Prefect server answers there (")
    assert "Error" not in said


def test_key_and_headers_of_a_profile_are_sent(cloud: str, user: Path, tmp_path: Path) -> None:
    more = {"PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Gate": "open"}'}
    profile(user, PREFECT_API_URL=cloud, PREFECT_API_KEY="pnu_planted", **more)
    said = refuse(tmp_path)
    assert "no Prefect server answers there" in said
    assert set(Asked.seen) == {("Bearer pnu_planted", "open")}


def test_key_is_sent_even_if_a_server_password_is_set(
    cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", cloud)
    monkeypatch.setenv("PREFECT_API_KEY", "pnu_planted")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "lsdc:5ecret")
    refuse(tmp_path)
    assert {authorization for authorization, _ in Asked.seen} == {"Bearer pnu_planted"}


def test_denied_access_and_an_address_without_an_api_have_different_errors(
    cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", cloud)
    assert "requires a password or key; set PREFECT_API_AUTH_STRING" in refuse(tmp_path)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "lsdc:5ecret")
    said = refuse(tmp_path)
    assert "the server rejects PREFECT_API_AUTH_STRING" in said
    assert "5ecret" not in said


@pytest.mark.parametrize("url", ["head:4200", "http://", "ftp://head/api", "http://a:b:c/api"])
def test_invalid_address_is_refused_and_its_place_is_named(
    url: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(SettingsError, match="the environment variable PREFECT_API_URL is "):
        read_user_settings()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("profiles.toml", b'active = "x\n'),
        ("profiles.toml", b"\xff\xfe"),
        ("prefect.toml", b"[api\n"),
        ("pyproject.toml", b"name = \n"),
        (".env", b"PREFECT_API_URL=\xff\xfe\n"),
    ],
)
def test_unreadable_settings_file_is_named_in_one_line(
    name: str, content: bytes, user: Path, tmp_path: Path
) -> None:
    (user / name).write_bytes(content)
    assert refuse(tmp_path).startswith(f"{user / name}: cannot be read (")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("profiles.toml", 'active = "mine"\nprofiles = 3\n'),
        ("profiles.toml", 'active = "mine"\n[profiles]\nmine = 3\n'),
        ("prefect.toml", "api = 3\n"),
        ("pyproject.toml", "tool = 3\n"),
    ],
)
def test_settings_file_with_a_wrong_structure_is_named_in_one_line(
    name: str, content: str, user: Path, tmp_path: Path
) -> None:
    (user / name).write_text(content)
    assert str(user / name) in refuse(tmp_path)


def test_unknown_profile_is_refused(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "production")
    said = refuse(tmp_path)
    assert f"PREFECT_PROFILE is production, which is not a profile in {user}/profiles.toml" in said


def test_invalid_value_is_refused_only_if_it_is_used(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(user, PREFECT_API_REQUEST_TIMEOUT="soon")
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", "tcp://10.0.0.1:4200")
    assert read_user_settings() == UserSettings(None, "", None, None)
    monkeypatch.setenv("PREFECT_API_URL", "http://head.example/api")
    said = refuse(tmp_path)
    assert said.startswith("PREFECT_API_REQUEST_TIMEOUT of the profile mine in ")


def test_unusable_proxies_are_ignored_and_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:5ecret@proxy.example:1080")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", "[::1], .example")
    read_user_settings()
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["ALL_PROXY", "SSL_CERT_FILE"]
    assert "5ecret" not in "".join(said)
    environment = own_environment(None, own_api("http://head.example:4200"))
    assert not {"ALL_PROXY", "SSL_CERT_FILE"} & environment.keys()
    assert environment["HTTP_PROXY"] == "proxy.example:3128"
    for name in ("NO_PROXY", "no_proxy"):
        here = socket.gethostname()
        assert environment[name] == f"::1,.example,127.0.0.1,localhost,{here},head.example"


def test_relative_certificate_paths_work_in_other_folders(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    for name in ("SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE"):
        monkeypatch.setenv(name, "ca.pem")
    monkeypatch.setenv("PREFECT_API_URL", "https://head.example/api")
    found = read_user_settings().api
    assert found is not None
    environment = own_environment(None, found)
    for name in ("SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE"):
        assert environment[name] == f"{user}/ca.pem"
    (user / "ca.pem").write_text("none")
    assert refuse(user).startswith(
        "SSL_CERT_FILE: ca.pem contains no certificates, so https://head"
    )


def test_unusable_proxy_is_refused_if_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("https_proxy", "socks5://proxy.example:1080")
    monkeypatch.setenv("PREFECT_API_URL", "https://head.example/api")
    said = refuse(tmp_path)
    assert said.startswith("https_proxy: socks5://proxy.example:1080 needs a library for SOCKS")
    assert "https://head.example/api" in said


def test_the_users_api_is_reached_through_the_users_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("PREFECT_API_URL", "http://head.example/api")
    found = read_user_settings()
    assert found.api is not None
    environment = own_environment(None, found.api)
    assert environment["HTTP_PROXY"] == "http://proxy.example:3128"
    assert "head.example" not in environment["NO_PROXY"]


@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0", "[::]", socket.gethostname(), "own"])
def test_api_on_this_machine_is_reached_without_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if host == "own":  # an address of this machine in a network
        own = SimpleNamespace(address="192.0.2.7")
        monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [own]})
        host = own.address
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    monkeypatch.setenv("PREFECT_API_URL", f"http://{host}:4200/api")
    found = read_user_settings()
    environment = own_environment(None, found.api)
    past = environment["NO_PROXY"].lower().split(",")
    assert host.strip("[]").lower() in past


def test_unwritable_key_log_is_ignored_and_reported(
    user: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (user / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")
    monkeypatch.setenv("PREFECT_API_URL", "https://head.example/api")
    found = read_user_settings()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("SSLKEYLOGFILE: /nowhere/keys: No such file or directory; ignored")
    environment = own_environment(None, found.api)
    assert "SSLKEYLOGFILE" not in environment
    assert environment["SSL_CERT_FILE"] == f"{user}/ca.pem"


def test_relative_paths_in_the_environment_work_in_other_folders(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", "models")
    monkeypatch.setenv("PGPASSFILE", "../pgpass")
    monkeypatch.setenv("AWS_CONFIG_FILE", "~/aws")
    monkeypatch.setenv("TORCH_HOME", "/models")
    environment = own_environment(None)
    assert environment["HF_HOME"] == f"{user}/models"
    assert environment["PGPASSFILE"] == f"{user}/../pgpass"
    assert (environment["AWS_CONFIG_FILE"], environment["TORCH_HOME"]) == ("~/aws", "/models")


def test_only_variables_that_clients_refuse_are_unusable() -> None:
    fine = {"HTTP_PROXY": "http://me:pw@proxy:1", "ALL_PROXY": "", "NO_PROXY": "*,10.0.0.0/8"}
    assert find_unusable(fine) == {}
    assert reach_directly(fine)["NO_PROXY"].startswith("*,10.0.0.0/8,127.0.0.1")
    assert set(find_unusable({"http_proxy": "ftp://x", "SSL_CERT_FILE": __file__})) == {
        "http_proxy",
        "SSL_CERT_FILE",
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:pw@host:1/api", "http://host:1/api"),
        ("me:pw@host:1", "host:1"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_addresses_are_shown_without_passwords(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_user_without_a_home_folder_is_supported(tmp_path: Path) -> None:
    code = """
import pwd
def unknown(uid): raise KeyError(uid)
pwd.getpwuid = unknown
from lsdc.cli.server.user_settings import read_user_settings
print(read_user_settings())
"""
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    for given in ({}, {"PREFECT_HOME": str(tmp_path)}):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            cwd=tmp_path,
            env=without_prefect(environment) | given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "UserSettings(api=None, source='')\n", done.stderr
    assert [*tmp_path.iterdir()] == [tmp_path / "user"]
