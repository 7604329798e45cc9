"""The processes of lsdc have the same Prefect settings, whatever the user has set."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import prefect
import psutil
import pytest
import toml  # Prefect's
import yaml

import lsdc
from lsdc.cli.commands.worker import pool_workers
from lsdc.cli.server.prefect_settings import own_api, own_environment, own_settings, without_prefect
from lsdc.cli.server.process import last_words, prefect_server, server_environment, sqlite_url
from lsdc.errors import StageError
from lsdc.store.home import Home, open_home
from tests.cli.server.every_setting import Setting, every_setting

ADDRESS = "http://127.0.0.1:4321"
SETTINGS = tuple(every_setting())
DUMP = """
import json
from prefect.settings import get_current_settings
settings = get_current_settings().model_dump(mode="json", context={"include_secrets": True})
print(json.dumps(settings))
"""
HERE = f"""
import sys
from pathlib import Path
from lsdc.cli.server.prefect_settings import own_api, own_environment, own_settings
from lsdc.store.home import Home
with own_settings(own_environment(Home(Path(sys.argv[1])), own_api({ADDRESS!r}))):
    exec({DUMP!r})
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a folder whose files set every setting, in the four forms that Prefect reads."""
    folder = tmp_path / "user"
    folder.mkdir()
    lines = [f"{setting.names[0]}='{setting.planted}'" for setting in SETTINGS]
    (folder / ".env").write_text("\n".join(lines))
    (folder / "prefect.toml").write_text(toml.dumps(_nested(())))
    (folder / "pyproject.toml").write_text(toml.dumps(_nested(("tool", "prefect"))))
    profile = {setting.names[0]: setting.planted for setting in SETTINGS}
    profiles = {"active": "mine", "profiles": {"mine": profile}}
    (folder / "profiles.toml").write_text(toml.dumps(profiles))
    return folder


def _nested(header: tuple[str, ...]) -> dict[str, Any]:
    """Return all settings as nested tables, as in Prefect's files."""
    tables: dict[str, Any] = {}
    for setting in SETTINGS:
        table = tables
        for name in (*header, *setting.path[:-1]):
            table = table.setdefault(name, {})
        table[setting.path[-1]] = setting.planted
    return tables


def test_permissions_of_prefects_folder_follow_the_umask(home: Home) -> None:
    before = os.umask(0o002)
    try:
        own_environment(home)
    finally:
        os.umask(before)
    assert home.prefect.stat().st_mode & 0o777 == 0o775


def kinds(home: Home) -> dict[str, dict[str, str]]:
    """Return the environments of our processes."""
    api = own_api(ADDRESS)
    (worker,) = pool_workers("lsdc-cpu", home, api, None)
    return {
        "server": server_environment(home, ADDRESS, sqlite_url(home)),
        "worker": worker.environment,
        "client": own_environment(home, api),
    }


def effective(code: str, environment: Mapping[str, str], folder: Path, *arguments: str) -> Any:
    """Return what the code prints in a separate process."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("spelled", ["present", "old", "small"])
def test_settings_in_the_environment_do_not_reach_our_processes(
    spelled: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ.keys() - without_prefect(os.environ).keys():
        monkeypatch.delenv(name)
    expected = kinds(home)
    for setting in SETTINGS:
        name = setting.names[-1 if spelled == "old" else 0]
        monkeypatch.setenv(name.lower() if spelled == "small" else name, setting.planted)
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    monkeypatch.setenv("PREFECT_SERVER", '{"api": {"base_path": "/planted"}}')
    monkeypatch.setenv("PREFECT_SERVER_ENCRYPTION_KEY", "planted")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "planted")
    assert kinds(home) == expected


def test_planted_settings_would_change_every_setting(tmp_path: Path) -> None:
    clean = without_prefect(os.environ) | {"PREFECT_PROFILES_PATH": os.devnull}
    planted = {setting.names[0]: setting.planted for setting in SETTINGS}
    before, after = effective(DUMP, clean, tmp_path), effective(DUMP, clean | planted, tmp_path)
    same = [setting.path for setting in SETTINGS if _at(before, setting) == _at(after, setting)]
    # Prefect's default profile, used if there is no other, has this value.
    assert same == [("server", "ephemeral", "enabled")]


def _at(settings: Any, setting: Setting) -> Any:
    for name in setting.path:
        settings = settings[name]
    return settings


def test_settings_in_files_do_not_reach_our_processes(
    home: Home, folder: Path, tmp_path: Path
) -> None:
    clean = without_prefect(os.environ)
    user = clean | {"PREFECT_PROFILES_PATH": str(folder / "profiles.toml")}
    assert effective(DUMP, user, folder)["server"]["api"]["base_path"] == "planted"
    expected = effective(HERE, clean, tmp_path, str(home.root))
    assert effective(HERE, user, folder, str(home.root)) == expected
    (worker,) = pool_workers("lsdc-cpu", home, own_api(ADDRESS), None)
    found = effective(DUMP, worker.environment, worker.folder)
    assert "planted" not in json.dumps(found)
    assert found["home"] == str(home.prefect)


def test_server_of_a_home_ignores_the_users_settings(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.db"
    for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        monkeypatch.setenv(name, f"sqlite+aiosqlite:///{theirs}")
    monkeypatch.setenv("PREFECT_SERVER_API_BASE_PATH", "/theirs/api")
    monkeypatch.setenv("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")
    monkeypatch.setenv("PREFECT_API_KEY", "pnu_theirs")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with prefect_server(home) as server:
        server.wait_until_healthy()
        with own_settings(own_environment(home, server.api)):
            from prefect.client.orchestration import get_client

            with get_client(sync_client=True) as client:
                client.create_flow_from_name("planted")
        assert psutil.Process(server.process.pid).children() == []
    assert not theirs.exists()
    with closing(sqlite3.connect(home.prefect / "prefect.db")) as database:
        assert database.execute("SELECT name FROM flow").fetchall() == [("planted",)]


@pytest.mark.slow_prefect
def test_types_of_blocks_are_left_to_the_server_that_is_asked_for_them(home: Home) -> None:
    counts = []
    for blocks in (False, True):
        with prefect_server(home, blocks=blocks) as server:
            server.wait_until_healthy()
        with closing(sqlite3.connect(home.prefect / "prefect.db")) as database:
            counts += database.execute("SELECT count(*) FROM block_type").fetchone()
    assert counts[0] == 0
    assert counts[1] > 10


def test_error_of_a_server_that_does_not_start_has_the_reason(home: Home) -> None:
    home.prefect.mkdir()
    (home.prefect / "prefect.db").write_bytes(bytes(range(256)) * 400)
    with prefect_server(home) as server, pytest.raises(StageError) as refused:
        server.wait_until_healthy()
    assert "prefect.db: file is not a database; this file holds only the history of runs" in str(
        refused.value
    )
    assert "file is not a database" in server.log.read_text()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Traceback\n  File\nsqlalchemy.exc.DatabaseError: (x) no\n[SQL: a]\n", "(x) no"),
        ("Traceback\nModuleNotFoundError: No module named 'a'\n\n", "No module named 'a'"),
        ("first\n last \n\n", "last"),
        ("", "no output"),
    ],
)
def test_reason_of_a_failed_process_is_its_last_error(said: str, words: str) -> None:
    assert last_words(said) == words


def test_every_prefect_setting_in_our_code_exists_in_this_prefect() -> None:
    ours = Path(lsdc.__file__).parents[1]
    texts = [
        path.read_text("utf-8")
        for room in ("lsdc", "tasks", "flows", "deployments")
        for path in (ours / room).rglob("*.py")
    ]
    written = set(re.findall(r"""["'](PREFECT_[A-Z_]+[A-Z])["']""", "\n".join(texts)))
    assert len(written) > 15
    known = {name for setting in SETTINGS for name in setting.names}
    # Prefect's logging reads the values of logging.yml from variables named after their keys.
    logging = yaml.safe_load((Path(prefect.__file__).parent / "logging/logging.yml").read_text())
    known |= {f"PREFECT_LOGGING_HANDLERS_{name.upper()}_LEVEL" for name in logging["handlers"]}
    assert written - known == {
        "PREFECT_PROFILE"
    }  # names the profile, and is read before the settings
