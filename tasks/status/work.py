"""Note in the home what this process does for a run, while it does it."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from lsdc.store.files import write_text
from lsdc.store.home import Home
from tasks.progress import Progress
from tasks.status.activity import Activity, Doing, new_note, notes
from tasks.status.rows import Rows

SECONDS = 3.0  # between two writes of the note

log = logging.getLogger("lsdc.run")


class Work:
    """The work of this process on a run; its rows are noted in the home.

    Args:
        home: the home.
        run: the run's name.
        expected: the names of the expected task runs, as far as they are known.
    """

    def __init__(self, home: Home, run: str, expected: Sequence[str]) -> None:
        self.home, self.run, self.rows = home, run, Rows(expected)
        self._path = new_note(home)
        self._begun = datetime.now(UTC)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_refused = False

    def __call__(self, progress: Progress) -> None:
        """Handle a progress event."""
        with self._lock:
            self.rows.update(progress)

    def keep_noting(self) -> None:
        """Write the note every few seconds until `end` is called."""
        while not self._ended.is_set():
            self._write()
            self._ended.wait(SECONDS)

    def end(self) -> None:
        """Stop writing."""
        self._ended.set()

    def remove(self) -> None:
        """Remove the note."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        with self._lock:
            doing = tuple(
                Doing(
                    name=row.name,
                    words=row.words,
                    seconds=row.seconds,
                    seconds_left=row.seconds_left(),
                )
                for row in self.rows.going
            )
            overall = tuple(self.rows.overall())
        activity = Activity(
            run=self.run,
            host=socket.gethostname(),
            pid=os.getpid(),
            begun=self._begun,
            updated=datetime.now(UTC),
            overall=overall,
            doing=doing,
        )
        try:
            write_text(self._path, activity.model_dump_json())
        except FileNotFoundError:
            return  # another run took the temporary file for a leftover; the next write follows
        except OSError as error:
            if not self._is_refused:  # a run does not fail because nobody can see it
                log.warning("'lsdc status' does not show this run: %s", error)
            self._is_refused = True


@contextmanager
def working(home: Home, run: str, expected: Sequence[str] = ()) -> Iterator[Work]:
    """Note in the home that this process works on a run during the block; see `Work`.

    Notes that killed processes left about this run are removed.
    """
    for path, left in notes(home).items():
        if left.run == run and not left.is_alive:
            path.unlink(missing_ok=True)
    work = Work(home, run, expected)
    writer = threading.Thread(target=work.keep_noting, daemon=True)
    writer.start()
    try:
        yield work
    finally:
        work.end()
        writer.join()
        work.remove()
