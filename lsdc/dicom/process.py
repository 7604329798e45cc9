"""One reading child process, as its parent sees it."""

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lsdc.dicom.frames import COUNT, BrokenFrameError, pack_request, unpack
from lsdc.dicom.slots import NO_SLOT, Slots, memory_file
from lsdc.errors import StageError

_START_SECONDS = 60.0
# The child ends itself when a file takes too long; the parent kills it this much later.
_GRACE_SECONDS = 2.0
_CHUNK_BYTES = 2**20
_ENVIRONMENT = {
    # BLAS threads would use up the child's limited address space.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Else glibc returns the memory of every image, and the next one costs a fault per page.
    "MALLOC_MMAP_THRESHOLD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
    # dicomsdl allocates and frees a hundred small blocks per file; glibc caches seven.
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=1000",
}
# The keys in the head of an answer about several files.
_MANY = ({"count", "formats"}, {"count", "images"})


class ChildEndedError(Exception):
    """The child is unusable; the text says why."""

    timed_out = False


class ChildTimedOutError(ChildEndedError):
    """The file in flight took too long."""

    timed_out = True


@dataclass(frozen=True)
class Batch:
    """Consecutive files in the order of all files.

    Attributes:
        start: the first file's index in that order.
        paths: the files' names.
        frames: the requested frame of each file, from 1.
        first_reason: why dicomsdl could not read this one file, if it could not.
        slots: the slots for their images, set when the files are requested.
    """

    start: int
    paths: list[bytes]
    frames: list[int]
    first_reason: str | None = None
    slots: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def part(self, begin: int, end: int | None = None) -> "Batch":
        """Return the batch of the files from `begin` to `end` within this one."""
        own = slice(begin, end)
        return Batch(
            self.start + begin,
            self.paths[own],
            self.frames[own],
            self.first_reason,
            self.slots[own],
        )


class Child:
    """A child process that reads files with one reader.

    It leads its own session, so that Ctrl-C reaches only the parent, and it ends when its stdin
    closes, so that it cannot outlive the parent.

    Attributes:
        pending: the batches that it has not answered, in order.
        active_at: when it last made progress or was given work, on the monotonic clock.
    """

    def __init__(
        self, work: str, reader: str, file_seconds: float, slots: Slots | None = None
    ) -> None:
        self.reader = reader
        self.pending: deque[Batch] = deque()
        self.active_at = time.monotonic()
        self._file_seconds, self._slots = file_seconds, slots
        self._ready = False
        self._received = bytearray()
        self._answered = self._seen_at = 0
        self._stderr = memory_file()  # `end` closes it
        with memory_file(COUNT.size) as shared:
            self._count = mmap.mmap(shared.fileno(), COUNT.size)
            inherited = [shared.fileno(), (slots.file if slots else shared).fileno()]
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "lsdc.dicom.child", work, reader),
                    *(str(file_seconds), *map(str, inherited)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                pass_fds=inherited,
                env=os.environ | _ENVIRONMENT,
                start_new_session=True,
            )
        self._widen_pipe()

    def fileno(self) -> int:
        """Return the file descriptor for a selector."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def ask(self, batch: Batch) -> None:
        """Send it a batch of files."""
        if not self.pending:
            self.active_at = time.monotonic()
        slots = tuple(self._slots.take() if self._slots else NO_SLOT for _ in batch.paths)
        batch = replace(batch, slots=slots)
        self.pending.append(batch)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; the end of its stdout will show that
            self._process.stdin.write(pack_request(batch.paths, batch.slots, batch.frames))
            self._process.stdin.flush()

    def answers(self) -> Iterator[tuple[Batch, dict[str, Any], bytearray]]:
        """Yield the received answers: batches of files, each with the head and body of its answer.

        Raises:
            ChildEndedError: it died, or sent an invalid answer.
            StageError: it died before it could read at all.
        """
        chunk = os.read(self.fileno(), _CHUNK_BYTES)
        if not chunk:
            raise self._death()
        self._received += chunk
        self.active_at = time.monotonic()
        while (answer := self._next_answer()) is not None:
            yield answer

    def _next_answer(self) -> tuple[Batch, dict[str, Any], bytearray] | None:
        try:
            while (frame := unpack(self._received)) is not None:
                if self._ready:
                    head, body = frame
                    return self._tick_off(head), head, body
                self._ready = True
        except (BrokenFrameError, IndexError, KeyError):
            raise ChildEndedError("sent an invalid answer") from None
        return None

    def _tick_off(self, head: dict[str, Any]) -> Batch:
        """Remove and return the requested files that this answer covers."""
        count = head["count"]
        # A failure concerns one file; a larger count would lose or shift others.
        most = len(self.pending[0]) if set(head) in _MANY else 1
        if type(count) is not int or not 0 < count <= most:
            raise BrokenFrameError
        batch = self.pending.popleft()
        if count < len(batch):
            self.pending.appendleft(batch.part(count))
        self._answered += count
        return batch.part(0, count)

    def in_flight(self) -> int:
        """Return how many files it has read since its last answer; the next one is in flight."""
        return min(max(0, self._at() - self._answered), len(self.pending[0]) - 1)

    def check_time(self) -> None:
        """Raise ChildEndedError if the file in flight has taken too long, StageError at start."""
        if (at := self._at()) != self._seen_at:
            self._seen_at, self.active_at = at, time.monotonic()
        silent = time.monotonic() - self.active_at
        if not self._ready and silent > _START_SECONDS:
            raise StageError(f"{self._name()} did not start within {_START_SECONDS:g} s; try again")
        if self._ready and self.pending and silent > self._file_seconds + _GRACE_SECONDS:
            raise self._timeout()

    def _at(self) -> int:
        """Return the number of files it has finished in total."""
        return int(COUNT.unpack_from(self._count)[0])

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr, self._count):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # all of them are open

    def _widen_pipe(self) -> None:
        """Enlarge the pipe for whole images; waking up for pieces takes half the parent's time."""
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):  # beyond the user's limit, keep the small pipe
                fcntl.fcntl(self.fileno(), fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)

    def _death(self) -> ChildEndedError:
        code = self._process.wait()
        if not self._ready:
            self._stderr.seek(0)
            last_line = self._stderr.read().decode(errors="replace").strip().split("\n")[-1]
            said = f": {last_line}" if last_line else ""
            how, advice = (
                (f"was killed by {signal.Signals(-code).name}", "check that memory suffices")
                if code < 0
                else (f"ended with exit code {code}", "check that the installation is complete")
            )
            raise StageError(f"{self._name()} {how} before it read a file{said}; {advice}")
        if code == -signal.SIGALRM:
            return self._timeout()
        return ChildEndedError(
            f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        )

    def _timeout(self) -> ChildTimedOutError:
        return ChildTimedOutError(f"no answer within {self._file_seconds:g} s")

    def _name(self) -> str:
        return f"the DICOM reading process ({self.reader})"
