"""Notes in a home about the processes that work in it, for `lsdc status`.

Each process has a note of its own, rewrites it every few seconds and removes it at its end. So
reading them takes no lock. A note that stays behind is of a process that was killed.
"""

import contextlib
import socket
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from lsdc.store.home import Home

SILENT_SECONDS = 120.0  # without a write, after which a process on another host counts as gone
_ROOM = ".active"


class Doing(BaseModel):
    """A task run that has not ended.

    Attributes:
        name: its name, such as `crops train` or `fold 2`.
        words: its current work, such as `epoch 3/6, loss 0.784`.
        seconds: the time since it began.
        seconds_left: the estimated time left; None if unknown.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    words: str
    seconds: float
    seconds_left: float | None


class Activity(BaseModel):
    """What a process does for a run, as it last noted.

    Attributes:
        run: the run's name.
        host, pid: the process.
        begun: when it began to work on the run.
        updated: when it wrote this.
        overall: the progress of the whole run in words, the most important first.
        doing: its task runs that have not ended.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    host: str
    pid: int
    begun: datetime
    updated: datetime
    overall: tuple[str, ...] = ()
    doing: tuple[Doing, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; one on another host counts as gone if it is silent."""
        if (lives := process_lives(self.host, self.pid, self.begun.timestamp())) is not None:
            return lives
        return (datetime.now(UTC) - self.updated).total_seconds() < SILENT_SECONDS


def process_lives(host: str, pid: int, since: float) -> bool | None:
    """Return whether a process that ran at the time `since` still runs; None on another host."""
    import psutil

    if host != socket.gethostname():
        return None
    try:  # another process may have got its number
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(process.create_time() <= since + 1)
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


def read_activities(home: Home) -> list[Activity]:
    """Return the notes of all processes, those of killed ones too, in the order of their begin."""
    return sorted(notes(home).values(), key=lambda each: (each.begun, each.host, each.pid))


def notes(home: Home) -> dict[Path, Activity]:
    """Return the notes by file."""
    found = {}
    for path in (home.root / _ROOM).glob("[!.]*.json"):
        # It may have been removed just now, or be of another version.
        with contextlib.suppress(OSError, ValidationError):
            found[path] = Activity.model_validate_json(path.read_bytes())
    return found


def new_note(home: Home) -> Path:
    """Return a path for the note of this process."""
    return home.root / _ROOM / f"{uuid4().hex}.json"
