"""A Prefect server for a home: one of a run's own, or the one behind `lsdc ui`."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsdc.errors import SettingsError, StageError
from lsdc.store.home import Home

START_SECONDS = 90.0
_HEALTH_POLL_SECONDS = 0.1
# Nothing that runs here calls home.
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


@dataclass(frozen=True)
class Server:
    """A Prefect server that was started and may still be coming up."""

    address: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def api(self) -> str:
        """What clients take as PREFECT_API_URL."""
        return f"{self.address}/api"

    def wait_until_healthy(self) -> None:
        """Return once the server answers.

        Raises:
            StageError: it ended, or did not come up in time; its log says why.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self.process.poll()
            if code is not None:
                raise StageError(
                    f"{self.address}: the Prefect server ended with {code}; see {self.log}"
                )
            with (
                contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
                urllib.request.urlopen(f"{self.api}/health", timeout=2),
            ):
                return
            time.sleep(_HEALTH_POLL_SECONDS)
        raise StageError(
            f"{self.address}: the Prefect server was not up after {START_SECONDS:.0f} s; "
            f"see {self.log}"
        )


@contextlib.contextmanager
def prefect_server(home: Home, *, port: int | None = None) -> Iterator[Server]:
    """Start a Prefect server on loopback, its database in the home; stop it after the block.

    Raises:
        SettingsError: the port is taken.
    """
    home.prefect.mkdir(exist_ok=True)
    home.logs.mkdir(exist_ok=True)
    port = _free_port(port)
    address = f"http://127.0.0.1:{port}"
    log = home.logs / "prefect-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lsdc.cli.server_child", str(port)],
            env=_environment(home, address),
            stdin=subprocess.PIPE,  # held open: its end tells the server that we are gone
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the run, which then stops the server
        )
    try:
        yield Server(address, process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _environment(home: Home, address: str) -> dict[str, str]:
    return os.environ | {
        **QUIET,
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home.prefect}/prefect.db",
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address,
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    }


def _free_port(wanted: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            raise SettingsError(
                f"--port {wanted}: cannot be listened on ({error.strerror}); choose another"
            ) from error
        return int(probe.getsockname()[1])
