"""A temporary PostgreSQL cluster for tests, which can be killed."""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lsdc.cli.server.process import free_port

_SECONDS = 600
_USER, _PASSWORD = "lsdc", "written-nowhere"


@dataclass
class Cluster:
    """A cluster in a folder; its postmaster may be killed and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and return once it answers."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                # Shared memory of a killed server may exist for a moment; then it is started again.
                self.process = self._begin()
            if self._tool("pg_isready", "-d", "postgres", check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text())

    def create(self, database: str) -> str:
        """Create a database and return its address, as for `lsdc up --database`."""
        self._tool("createdb", database)
        return f"postgresql://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """Kill the postmaster; its children then end by themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_SECONDS)

    def _begin(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(_binary("postgres"), "-D", self.folder / "data", "-k", self.folder),
                    *("-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                ],
                stdout=log,
                stderr=log,
                user=_owner(),
                start_new_session=True,
            )

    def _tool(
        self, name: str, *more: str, check: bool = True
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [_binary(name), "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, *more],
            env=os.environ | {"PGPASSWORD": _PASSWORD},
            capture_output=True,
            check=check,
        )


@contextlib.contextmanager
def postgresql() -> Iterator[Cluster]:
    """Start a new cluster and delete it after the block."""
    with tempfile.TemporaryDirectory(prefix="lsdc-postgresql-") as temporary:
        folder = Path(temporary)
        shutil.chown(folder, _owner())
        password = folder / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            [
                *(_binary("initdb"), "-D", folder / "data", "-U", _USER),
                *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"),
            ],
            check=True,
            capture_output=True,
            user=_owner(),
        )
        cluster = Cluster(folder, free_port(None))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def has_postgresql() -> bool:
    """Return whether the server of PostgreSQL is installed."""
    return _find("initdb") is not None


def _owner() -> str:
    """Return the user for PostgreSQL, which refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else getpass.getuser()


def _binary(name: str) -> Path:
    found = _find(name)
    assert found is not None, f"{name}: not found; install PostgreSQL's server"
    return found


def _find(name: str) -> Path | None:
    # On Debian the programs of the server are not on the path.
    versions = [folder / name for folder in Path("/usr/lib/postgresql").glob("*/bin")]
    on_path = shutil.which(name)
    found = [*map(Path, filter(None, [on_path])), *sorted(versions, reverse=True)]
    return next((path for path in found if path.exists()), None)
