"""Locks on experiment folders, shared by runs with the same settings.

A fold's folder belongs to one training at a time: a training with other settings would move it
away. So runs with the same settings share the folder, and a run with others waits for them to end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import BaseFileLock, Timeout

from lsdc.errors import HomeBusyError
from lsdc.run_context import run_context
from lsdc.store.file_locks import file_lock
from lsdc.store.home import Home

_POLL_SECONDS = 1.0


@contextmanager
def lock_experiment(
    home: Home, experiment: str, settings: str, *, wait: bool = True, say: Callable[[str], None]
) -> Iterator[None]:
    """Reserve an experiment's folder for runs with these settings within the block.

    The operating system releases the locks, so a killed run leaves none behind. Take this lock
    before the build lock: whoever holds the build lock must not wait here.

    Args:
        home: home of the experiment.
        experiment: name of the experiment's folder.
        settings: fingerprint of the settings.
        wait: whether to wait for runs with other settings.
        say: called once with a message before waiting.

    Raises:
        HomeBusyError: a run with other settings is active and `wait` is false.
    """
    folder = _folder(home) / experiment
    folder.mkdir(parents=True, exist_ok=True)
    mine = file_lock(folder / f"{settings[:16]}-{uuid4().hex}.lock")
    is_printed = False
    while True:
        with _gate(folder):
            if all(path.name.startswith(settings[:16]) for path in _held(folder)):
                mine.acquire()
                break
        other = f"{experiment}: a run with other settings is active in {home.root}"
        if not wait:
            raise HomeBusyError(f"{other}; wait until it ends, or choose another --home")
        if not is_printed:
            say(f"{other}; waiting for it to end")
        is_printed = True
        run_context().sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        Path(mine.lock_file).unlink(missing_ok=True)
        mine.release()


def find_occupied(home: Home) -> list[str]:
    """Return the experiments that have active runs."""
    found = []
    for folder in sorted(_folder(home).glob("*")):
        with _gate(folder):
            if _held(folder):
                found.append(folder.name)
    return found


def _folder(home: Home) -> Path:
    return home.root / ".occupied"


def _gate(folder: Path) -> BaseFileLock:
    return file_lock(folder / ".gate.lock")


def _held(folder: Path) -> list[Path]:
    """Return the lock files of living processes, and remove those of dead ones."""
    living = []
    for path in folder.glob("[!.]*.lock"):
        lock = file_lock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            living.append(path)
        else:
            path.unlink()
            lock.release()
    return living
