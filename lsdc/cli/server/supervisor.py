"""Supervise the processes of an installation: restart them, and prefix their output by name."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
from rich.console import Console

from lsdc.errors import StageError

# Time for runs to end, including saving a training, and then for the process that ran them.
GRACE_SECONDS = 45.0
_PARTING_SECONDS = 15.0
_POLL_SECONDS = 0.2
# Pause before a restart; doubled each time the process ends soon after its start.
_RESTART_SECONDS, _LONGEST_RESTART_SECONDS = 2.0, 60.0
_SHORT_LIFE_SECONDS = 30.0
_SHORT_LIVES = 3


@dataclass
class Part:
    """A process, `python -P -m MODULE ARGUMENTS`, whose standard input is a pipe that we hold.

    Its working folder must not contain Prefect settings files. One that `drains` starts nothing new
    once it receives SIGUSR1.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(repr=False)
    folder: Path
    drains: bool = False
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)
    started: float = 0.0
    due: float | None = None  # time of the restart, once the process has ended
    pause: float = 0.0
    short_lives: int = 0
    was_up: bool = False

    @property
    def is_running(self) -> bool:
        """True if the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> "subprocess.Popen[str]":
        """Start or restart the process; stdout and stderr are merged into one stream of lines."""
        self.started, self.due = time.monotonic(), None
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", self.module, *self.arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,  # held open: the process ends when this pipe closes
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches only us; we end the processes in order
        )
        return self.process


class Parts:
    """Processes that run during the block and are then ended in parallel."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end(GRACE_SECONDS)
        except KeyboardInterrupt:  # second interrupt: end at once
            self._end(0.0)

    def start(self, part: Part) -> None:
        """Start a process and keep it running."""
        self.parts.append(part)
        self._run(part)

    def check(self) -> None:
        """Restart ended processes, each after its own pause, without waiting.

        Raises:
            StageError: a process that has never been up keeps ending soon after its start.
        """
        for part in self.parts:
            if part.is_running:
                continue
            if part.due is None:
                self._plan(part)
            elif time.monotonic() >= part.due:
                self._run(part)

    def _plan(self, part: Part) -> None:
        """Schedule the restart of a process that has ended.

        One that has been up may end repeatedly while its database is down; giving up would end the
        others' trainings.
        """
        assert part.process is not None
        code, now = part.process.returncode, time.monotonic()
        if now - part.started >= _SHORT_LIFE_SECONDS:
            part.short_lives, part.pause, part.was_up = 0, _RESTART_SECONDS, True
        else:
            part.short_lives += 1
            part.pause = min(max(2 * part.pause, _RESTART_SECONDS), _LONGEST_RESTART_SECONDS)
        if part.short_lives >= _SHORT_LIVES and not part.was_up:
            raise StageError(
                f"{part.name}: exited {_SHORT_LIVES} times within {_SHORT_LIFE_SECONDS:.0f} s of "
                f"its start, last with code {code}; see its output above"
            )
        part.due = now + part.pause
        say(self.console, part.name, f"exited with code {code}; restarting in {part.pause:g} s")

    def _run(self, part: Part) -> None:
        process = part.start()
        threading.Thread(target=self._pass_on, args=(part, process), daemon=True).start()

    def _pass_on(self, part: Part, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            say(self.console, part.name, line.rstrip("\n"))

    def _end(self, grace: float) -> None:
        parts = [part for part in self.parts if part.is_running]
        running = [psutil.Process(part.pid) for part in parts]
        draining = [psutil.Process(part.pid) for part in parts if part.drains]
        family: list[psutil.Process] = []
        _each(running, lambda part: family.extend(part.children(recursive=True)))
        _end_runs(draining, grace)
        _each(running, psutil.Process.terminate)
        _, late = psutil.wait_procs(running, timeout=min(grace, _PARTING_SECONDS))
        _each([*late, *family], psutil.Process.kill)


def _end_runs(workers: Sequence[psutil.Process], grace: float) -> None:
    """End the child processes of workers first, within a grace period.

    Prefect's worker kills its runs when it is terminated. So it is first asked to take no more
    runs, and its runs are terminated directly.
    """
    _each(workers, lambda worker: worker.send_signal(signal.SIGUSR1))
    runs: list[psutil.Process] = []
    _each(workers, lambda worker: runs.extend(worker.children()))
    _each(runs, psutil.Process.terminate)
    until = time.monotonic() + grace
    while time.monotonic() < until and any(map(_works, runs)):
        time.sleep(_POLL_SECONDS)


def _each(processes: Sequence[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            act(process)


def _works(process: psutil.Process) -> bool:
    """Return whether a process is running; an ended one is a zombie until its parent waits."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def keep_running(*groups: Parts) -> None:
    """Keep all processes running until interrupted."""
    while True:
        for group in groups:
            group.check()
        time.sleep(_POLL_SECONDS)


def say(console: Console, name: str, line: str) -> None:
    """Print a process's output line; ignore a closed terminal, so that supervision continues."""
    with contextlib.suppress(OSError):
        console.print(f"{name:<7}| {line}", markup=False, highlight=False, soft_wrap=True)
