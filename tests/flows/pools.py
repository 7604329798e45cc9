"""An installation under test: `lsdc up` in a process of its own, and what its pages call."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lsdc.cli.serve import free_port
from tests.flows.test_run_local import ask

SECONDS = 600  # no condition is waited for so long unless something is wrong
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Installation:
    """`lsdc up`, and what it says."""

    home: Path
    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)
    api: str = ""

    def read(self) -> None:
        """Take in its lines until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "(Ctrl-C ends)" in line:
                self.api = line.split()[0] + "api"

    def until(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives, once it gives something."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # a busy server may not answer in time
                if found := condition():
                    return found
            time.sleep(0.5)
        raise AssertionError("waited in vain:\n" + "".join(self.lines[-80:]))

    def trigger(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """`lsdc trigger`, which finds the server of the home."""
        return subprocess.run(
            [
                *(sys.executable, "-P", "-m", "lsdc", "trigger", *map(str, arguments)),
                *("--home", str(self.home)),
            ],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, run_id: str) -> dict[str, Any]:
        """A flow run, as the server has it."""
        (run,) = ask(self.api, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        return run

    def children(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The runs that a run sent, by name."""
        mine = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
        return {run["name"]: run for run in ask(self.api, "flow_runs/filter", mine)}

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run, once it is over."""
        return self.until(lambda: (run := self.run(run_id))["state_type"] in FINAL and run)

    def retry(self, run_id: str) -> None:
        """What the button Retry of Prefect's pages calls."""
        self._set_state(run_id, "SCHEDULED", "AwaitingRetry")

    def cancel(self, run_id: str) -> None:
        """What the button Cancel of Prefect's pages calls."""
        self._set_state(run_id, "CANCELLING", "Cancelling")

    def _set_state(self, run_id: str, kind: str, name: str) -> None:
        request = urllib.request.Request(
            f"{self.api}/flow_runs/{run_id}/set_state",
            data=json.dumps({"state": {"type": kind, "name": name}}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=60).close()

    def processes(self, module: str) -> list[psutil.Process]:
        """The installation's processes that run a module."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        found = []
        for process in family:
            with contextlib.suppress(psutil.Error):
                if module in process.cmdline():
                    found.append(process)
        return found


@contextlib.contextmanager
def installed(home: Path, *arguments: str, site: Path | None = None) -> Iterator[Installation]:
    """An installation in a home, which SIGTERM ends; nothing of it may be left.

    `site` is a folder of modules that all its processes find first.
    """
    environment = _environment()
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
    installation = Installation(home, process)
    reader = threading.Thread(target=installation.read)
    reader.start()
    try:
        installation.until(lambda: installation.api or process.poll() is not None)
        assert process.poll() is None, "".join(installation.lines)
        yield installation
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)
        reader.join()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert process.returncode == 0, "".join(installation.lines[-40:])


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
