"""Parts: the processes of an installation, kept running, each line of theirs under its name."""

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

# What runs may take to end, of which a training saves itself, and then the part that had them.
GRACE_SECONDS = 45.0
_PARTING_SECONDS = 15.0
_POLL_SECONDS = 0.2
# Before a part is started again; doubled each time that it ends soon after its start.
_RESTART_SECONDS, _LONGEST_RESTART_SECONDS = 2.0, 60.0
_SHORT_LIFE_SECONDS = 30.0
_SHORT_LIVES = 3


@dataclass
class Part:
    """A process: `python -P -m MODULE ARGUMENTS`, whose standard input is a pipe that we hold.

    Its working folder has to be one without files that Prefect reads settings from. One that
    `drains` begins nothing more once it is sent SIGUSR1.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(repr=False)
    folder: Path
    drains: bool = False
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)
    started: float = 0.0
    due: float | None = None  # when it is started again, once it has been seen to have ended
    pause: float = 0.0
    short_lives: int = 0
    was_up: bool = False

    @property
    def lives(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> "subprocess.Popen[str]":
        """Start it, or start it again; its output is one stream of lines."""
        self.started, self.due = time.monotonic(), None
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", self.module, *self.arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,  # held open: its end tells the part that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us, who end the parts in order
        )
        return self.process


class Parts:
    """Parts that live as long as the block, and are then ended side by side."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end(GRACE_SECONDS)
        except KeyboardInterrupt:  # asked twice: at once, then
            self._end(0.0)

    def start(self, part: Part) -> None:
        """Start a part and keep it running."""
        self.parts.append(part)
        self._run(part)

    def check(self) -> None:
        """Start again what has ended, after a pause that others do not wait for.

        Raises:
            StageError: a part that has never been up ends each time soon after its start.
        """
        for part in self.parts:
            if part.lives:
                continue
            if part.due is None:
                self._plan(part)
            elif time.monotonic() >= part.due:
                self._run(part)

    def _plan(self, part: Part) -> None:
        """Say when a part that has ended is started again.

        One that has been up may end over and over while its database is away, which comes back;
        to give up would end the trainings of the others.
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
                f"{part.name}: ended with {code} {_SHORT_LIVES} times within "
                f"{_SHORT_LIFE_SECONDS:.0f} s of its start; what it said stands above"
            )
        part.due = now + part.pause
        say(self.console, part.name, f"ended with {code}; it is started again in {part.pause:g} s")

    def _run(self, part: Part) -> None:
        process = part.start()
        threading.Thread(target=self._pass_on, args=(part, process), daemon=True).start()

    def _pass_on(self, part: Part, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            say(self.console, part.name, line.rstrip("\n"))

    def _end(self, grace: float) -> None:
        parts = [part for part in self.parts if part.lives]
        living = [psutil.Process(part.pid) for part in parts]
        draining = [psutil.Process(part.pid) for part in parts if part.drains]
        family: list[psutil.Process] = []
        _each(living, lambda part: family.extend(part.children(recursive=True)))
        _end_runs(draining, grace)
        _each(living, psutil.Process.terminate)
        _, late = psutil.wait_procs(living, timeout=min(grace, _PARTING_SECONDS))
        _each([*late, *family], psutil.Process.kill)


def _end_runs(workers: Sequence[psutil.Process], grace: float) -> None:
    """Have the processes that workers started end first, which they may take their time for.

    Prefect's worker kills the runs that it has when it is told to end. So it is told to take no
    more of them, and its runs are told themselves.
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
    """Whether it has not ended; until its parent looks it is a zombie."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def keep_running(*groups: Parts) -> None:
    """Keep all parts running until interrupted."""
    while True:
        for group in groups:
            group.check()
        time.sleep(_POLL_SECONDS)


def say(console: Console, name: str, line: str) -> None:
    """Print a line of a part, unless the terminal is gone: the part is to be read on and ended."""
    with contextlib.suppress(OSError):
        console.print(f"{name:<7}| {line}", markup=False, highlight=False, soft_wrap=True)
