"""Run a Prefect server for a home: a run's temporary one, or the one behind `lsdc ui`."""

import contextlib
import errno
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
from filelock import BaseFileLock, Timeout

from lsdc.cli.server.database import is_migrated
from lsdc.cli.server.network import open_directly
from lsdc.cli.server.prefect_settings import Api, own_api, own_environment
from lsdc.errors import HomeBusyError, SettingsError, StageError
from lsdc.store.file_locks import file_lock
from lsdc.store.files import write_text
from lsdc.store.home import Home

SERVER = "lsdc.cli.server.child"
START_SECONDS = 600.0  # generous for busy machines; a server that exits is noticed at once
_NOTE = "server.json"
_OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)
_HEALTH_POLL_SECONDS = 0.1
_GLANCE_SECONDS = 0.5
# With the second alone, Prefect would note the types as registered.
_WITHOUT_BLOCKS = {
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}
_WITHOUT_MIGRATIONS = {"PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false"}
# The last line of a traceback: a class such as 'asyncpg.exceptions.NoSuchError: ' and a message.
_RAISED = re.compile(r"(?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Denied|Exit): (?P<reason>.+)")


@dataclass(frozen=True)
class Server:
    """A Prefect server that was started and may still be coming up."""

    address: str
    api: Api
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_until_healthy(self) -> None:
        """Wait until the server answers.

        Raises:
            StageError: the server exited or did not start in time; its log says why.
        """
        wait_until_healthy(self.api.url, self._check)

    def _check(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise StageError(
                f"{self.address}: the Prefect server exited with code {code} "
                f"({last_words(self.log.read_text(encoding='utf-8', errors='replace'))}); "
                f"see {self.log}"
            )


def last_words(output: str) -> str:
    """Return the reason why a process failed: its last error, else its last line of output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if found := _RAISED.fullmatch(line):
            return found["reason"]
    return lines[-1] if lines else "no output"


def wait_until_healthy(api: str, check: Callable[[], None]) -> None:
    """Wait until a starting server answers; `check` raises once it no longer can.

    Raises:
        StageError: the server did not start in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        check()
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            open_directly(f"{api}/health", timeout=10),
        ):
            return
        time.sleep(_HEALTH_POLL_SECONDS)
    raise StageError(f"{api}: the Prefect server did not start within {START_SECONDS:.0f} s")


@contextlib.contextmanager
def prefect_server(
    home: Home,
    *,
    port: int | None = None,
    password: str | None = None,
    blocks: bool = True,
) -> Iterator[Server]:
    """Run a Prefect server on loopback, with its database in the home, during the block.

    Args:
        home: the home.
        port: the port; any free one if None.
        password: a password that clients must send.
        blocks: whether to register Prefect's types of blocks, which its pages offer; takes 1 s.

    Raises:
        SettingsError: the port is taken.
        HomeBusyError: the home has a server already.
    """
    port = free_port(port)
    address = f"http://127.0.0.1:{port}"
    with exclusive_server(home, address):
        environment = server_environment(home, address, sqlite_url(home), password)
        environment |= {} if blocks else _WITHOUT_BLOCKS
        environment |= _WITHOUT_MIGRATIONS if is_migrated(home.prefect / "prefect.db") else {}
        with _serve(home, port, environment) as (process, log):
            yield Server(address, own_api(address, password), process, log)


@contextlib.contextmanager
def _serve(
    home: Home, port: int, environment: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    home.logs.mkdir(exist_ok=True)
    log = home.logs / "prefect-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", SERVER, str(port)],
            env=environment,
            cwd=home.prefect,  # which has no settings files
            stdin=subprocess.PIPE,  # held open: the server ends when this pipe closes
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the run, which then stops the server
        )
    try:
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def sqlite_url(home: Home) -> str:
    """Return the URL of Prefect's database in the home, with special characters escaped."""
    return f"sqlite+aiosqlite:///{quote(str(home.prefect / 'prefect.db'))}"


def server_environment(
    home: Home, address: str, database: str, password: str | None = None
) -> dict[str, str]:
    """Return the environment of a server that is reached at `address` and asks for `password`."""
    return {
        **own_environment(home),
        **({"PREFECT_SERVER_API_AUTH_STRING": password} if password else {}),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # for SQLite's lock, which several workers share
        # For cancelled runs whose machine is gone; a live one has saved its state by then.
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "60",
        "PREFECT_SERVER_UI_API_URL": "/api",  # relative, for any host name, tunnel or proxy
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": address,
    }


@contextlib.contextmanager
def exclusive_server(home: Home, address: str) -> Iterator[None]:
    """Lock the home for one server, and publish its address there.

    Raises:
        HomeBusyError: the home has a server already; two must not share a database.
    """
    home.prefect.mkdir(exist_ok=True)
    lock, note = _server_lock(home), home.prefect / _NOTE
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HomeBusyError(
            f"{home.root}: a Prefect server already runs for this home, at "
            f"{_noted(note) or 'an unknown address'}; use that one, or stop it first"
        ) from None
    try:
        write_text(note, json.dumps({"address": address}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def running_server(home: Home) -> str | None:
    """Return the address of the server that runs for the home, or None."""
    if not home.prefect.is_dir():
        return None
    try:
        lock = _server_lock(home)
        lock.acquire(timeout=0)
    except Timeout:
        return _noted(home.prefect / _NOTE)
    lock.release()
    return None


def noted_server(home: Home) -> tuple[str, bool] | None:
    """Return the address of the home's server as noted, and whether it answers; take no lock.

    A killed server leaves its note.
    """
    address = _noted(home.prefect / _NOTE)
    if address is None:
        return None
    try:
        with open_directly(f"{address}/api/health", timeout=_GLANCE_SECONDS):
            return address, True
    except urllib.error.HTTPError:  # it asks for a password
        return address, True
    except (OSError, ValueError):
        return address, False


def _server_lock(home: Home) -> BaseFileLock:
    return file_lock(home.prefect / ".server.lock", thread_local=False)


def _noted(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError):
        return None


def free_port(wanted: int | None, host: str = "127.0.0.1") -> int:
    """Return the requested port, or any free one.

    Raises:
        SettingsError: the port is taken (the message says by what), or the host is not local.
    """
    try:
        (family, _, _, _, where), *_ = socket.getaddrinfo(
            host, wanted or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            return int(probe.getsockname()[1])
    except OSError as error:
        option = f"--port {wanted}" if error.errno in _OF_THE_PORT else f"--host {host}"
        raise SettingsError(
            f"{option}: cannot listen there ({error.strerror}{_listener(wanted)}); choose another"
        ) from error


def _listener(port: int | None) -> str:
    """Describe the process that listens on a port, as far as permissions allow."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections(kind="tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                return f" by process {each.pid}, {psutil.Process(each.pid).name()}"
    return ""
