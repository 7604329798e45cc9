"""One reading child process, as its parent sees it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsdc.dicom.frames import BrokenFrameError, pack_paths, unpack
from lsdc.errors import StageError

_START_SECONDS = 60.0
# The child ends itself when a file takes too long; this much later the parent does it.
_GRACE_SECONDS = 2.0
_CHUNK_BYTES = 2**20


class ChildEndedError(Exception):
    """The child is no use any more; the text says how that came."""


@dataclass
class File:
    """A file to be read: its place in the order, its name, and why dicomsdl could not read it."""

    number: int
    path: bytes
    first_reason: str | None = None


class Child:
    """A child process that reads files with one reader.

    It leads its own session, so that Ctrl-C reaches the parent alone, and ends when its stdin
    does, so that it cannot outlive the parent.

    Attributes:
        in_flight: the files it was asked for and has not answered, in order.
        heard: when it was last heard, or given work, on the monotonic clock.
    """

    def __init__(self, work: str, reader: str, file_seconds: float) -> None:
        self.reader = reader
        self.in_flight: deque[File] = deque()
        self.heard = time.monotonic()
        self._file_seconds = file_seconds
        self._ready = False
        self._received = bytearray()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # `end` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lsdc.dicom.child", work, reader, str(file_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            # Threads of BLAS would fill the address space that the child is allowed.
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self._widen_pipe()

    def fileno(self) -> int:
        """What a selector waits for."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def ask(self, files: Sequence[File]) -> None:
        """Give work to an idle child."""
        self.in_flight.extend(files)
        self.heard = time.monotonic()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; the end of its stdout will say so
            self._process.stdin.write(pack_paths([file.path for file in files]))
            self._process.stdin.flush()

    def answers(self) -> list[tuple[File, dict[str, Any], bytearray]]:
        """What came: files with head and body of their answers.

        Raises:
            ChildEndedError: it died, or sent what is no answer.
            StageError: it died before it could read at all.
        """
        chunk = os.read(self.fileno(), _CHUNK_BYTES)
        if not chunk:
            raise ChildEndedError(self._death())
        self._received += chunk
        self.heard = time.monotonic()
        answers = []
        try:
            while (frame := unpack(self._received)) is not None:
                if self._ready:
                    answers.append((self.in_flight.popleft(), *frame))
                self._ready = True
        except (BrokenFrameError, IndexError):
            raise ChildEndedError("answered with noise") from None
        return answers

    def check_time(self) -> None:
        """Raise ChildEndedError if the file in flight has taken too long, StageError at start."""
        silent = time.monotonic() - self.heard
        if not self._ready and silent > _START_SECONDS:
            raise StageError(f"{self._name()} did not start within {_START_SECONDS:g} s; try again")
        if self._ready and self.in_flight and silent > self._file_seconds + _GRACE_SECONDS:
            raise ChildEndedError(self._timeout())

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # all three are pipes or files

    def _widen_pipe(self) -> None:
        """Let a whole image fit; half of the parent's time goes into waking up for pieces."""
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):  # beyond the user's share the small pipe does
                fcntl.fcntl(self.fileno(), fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)

    def _death(self) -> str:
        code = self._process.wait()
        if not self._ready:
            self._stderr.seek(0)
            said = self._stderr.read().decode(errors="replace").strip().split("\n")[-1]
            raise StageError(
                f"{self._name()} ended with code {code} before it could read a file: {said}; "
                "check that the installation is whole"
            )
        if code == -signal.SIGALRM:
            return self._timeout()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _timeout(self) -> str:
        return f"no answer within {self._file_seconds:g} s"

    def _name(self) -> str:
        return f"the DICOM reading process ({self.reader})"
