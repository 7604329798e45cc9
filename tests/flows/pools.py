"""An installation under test: `lsdc up` in a separate process, and the requests of Prefect's UI."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from lsdc.cli.server.process import free_port

SECONDS = 1200  # longest wait for a condition
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Installation:
    """`lsdc up`, and its output."""

    home: Path
    process: "subprocess.Popen[str]"
    environment: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    api: str = ""
    ends_with: int = 0

    def read(self) -> None:
        """Read its lines until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "(Ctrl-C stops it)" in line:
                self.api = line.split()[0] + "api"

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition returns something true, and return that."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # a busy server may not answer in time
                if found := condition():
                    return found
            time.sleep(1.0)  # each request costs the server some work
        raise AssertionError("the condition was not met in time:\n" + "".join(self.lines[-80:]))

    def trigger(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run `lsdc trigger`, which finds the server of the home."""
        return subprocess.run(
            [
                *(sys.executable, "-P", "-m", "lsdc", "trigger", *map(str, arguments)),
                *("--home", str(self.home)),
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, run_id: str) -> dict[str, Any]:
        """Return the server's record of a flow run."""
        runs: list[dict[str, Any]]
        runs = self.ask("flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        (run,) = runs
        return run

    def children(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the child runs of a run by name."""
        mine = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
        return {run["name"]: run for run in self.ask("flow_runs/filter", mine)}

    def ended(self, run_id: str) -> dict[str, Any]:
        """Wait until a run has ended, and return its record."""
        over: dict[str, Any]
        over = self.until(lambda: (run := self.run(run_id))["state_type"] in FINAL and run)
        return over

    def lasted(self, run_id: str) -> float:
        """Return the seconds from the trigger of a run to its end."""
        run = self.ended(run_id)
        return (_time(run["end_time"]) - _time(run["created"])).total_seconds()

    def worked(self, run_id: str) -> tuple[datetime, datetime]:
        """Return when a run sent its first child, and when it ended."""
        sent = min(_time(child["created"]) for child in self.children(run_id).values())
        return sent, _time(self.ended(run_id)["end_time"])

    def retry(self, run_id: str) -> None:
        """Retry a run as Prefect's UI does."""
        self._set_state(run_id, "SCHEDULED", "AwaitingRetry")

    def cancel(self, run_id: str) -> None:
        """Cancel a run as Prefect's UI does."""
        self._set_state(run_id, "CANCELLING", "Cancelling")

    def _set_state(self, run_id: str, kind: str, name: str) -> None:
        self.ask(f"flow_runs/{run_id}/set_state", {"state": {"type": kind, "name": name}})

    def ask(self, what: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the server's answer to a request, sent with the password if there is one."""
        headers = {"Content-Type": "application/json"}
        if password := self.environment.get("PREFECT_SERVER_API_AUTH_STRING"):
            headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
        body = None if query is None else json.dumps(query).encode()
        request = urllib.request.Request(f"{self.api}/{what}", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """Kill all its processes at once, as if its machine lost power."""
        self.process.kill()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.ends_with = -signal.SIGKILL

    def processes(self, module: str | None = None) -> list[psutil.Process]:
        """Return the installation's processes, also orphans: all, or those that run a module."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("PREFECT_HOME") == str(self.home / "prefect")
                if ours and (module is None or module in process.cmdline()):
                    found.append(process)
        return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@contextlib.contextmanager
def installed(
    home: Path,
    *arguments: str,
    site: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """Run an installation in a home; SIGTERM ends it, and no process may be left.

    `site` is a folder of modules that all its processes find first, `more` is environment.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")
    } | dict(more or {})
    if site is not None:
        paths = (str(site), environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    port = str(free_port(None))
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "lsdc", "up", "--home", str(home), "--port", port),
            *arguments,
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    installation = Installation(home, process, environment)
    reader = threading.Thread(target=installation.read)
    reader.start()
    try:
        installation.until(lambda: installation.api or process.poll() is not None)
        assert process.poll() is None, "".join(installation.lines)
        yield installation
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)
        reader.join()
    _, alive = psutil.wait_procs(installation.processes(), timeout=30)
    assert alive == []
    assert process.returncode == installation.ends_with, "".join(installation.lines[-40:])
