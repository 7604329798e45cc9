"""Occupancy: for which settings an experiment's folder is kept while runs go on.

A fold's folder is one training's at a time: that of other settings moves it away. So runs of the
same settings share an experiment's folder, and one of others waits until they have ended.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import BaseFileLock, Timeout

from lsdc.errors import HomeBusyError
from lsdc.shutdown import pause
from lsdc.store.file_locks import file_lock
from lsdc.store.home import Home

_POLL_SECONDS = 1.0


@contextmanager
def lock_experiment(
    home: Home, experiment: str, settings: str, *, wait: bool = True, say: Callable[[str], None]
) -> Iterator[None]:
    """Have the experiment's folder kept for runs of these settings while the block runs.

    The locks are the operating system's, so a killed run leaves none behind. Who holds the home for
    building waits for nobody here: it is to be occupied first.

    Args:
        home: the home.
        experiment: whose folder it is.
        settings: a fingerprint of them.
        wait: for runs of other settings, if there are any.
        say: told once if they are waited for.

    Raises:
        HomeBusyError: a run of other settings goes on and `wait` is false.
    """
    folder = _folder(home) / experiment
    folder.mkdir(parents=True, exist_ok=True)
    mine = file_lock(folder / f"{settings[:16]}-{uuid4().hex}.lock")
    said = False
    while True:
        with _gate(folder):
            if all(path.name.startswith(settings[:16]) for path in _held(folder)):
                mine.acquire()
                break
        other = f"{experiment}: a run of other settings goes on in {home.root}"
        if not wait:
            raise HomeBusyError(f"{other}; wait for it, or choose another --home")
        if not said:
            say(f"{other}; waiting for it to end")
        said = True
        pause(_POLL_SECONDS)
    try:
        yield
    finally:
        Path(mine.lock_file).unlink(missing_ok=True)
        mine.release()


def find_occupied(home: Home) -> list[str]:
    """The experiments of which runs go on."""
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
    """The locks of those that live; those of the dead are removed."""
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
