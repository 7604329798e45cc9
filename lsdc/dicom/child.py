"""The child that reads files: `python -P -m lsdc.dicom.child WORK READER SECONDS COUNT SLOTS`.

It takes batches of paths on stdin and answers with frames on stdout, in order. It shares memory
with its parent through two files: COUNT holds the current file's number, SLOTS the images. It ends
at the end of stdin, and it may die at any file, which protects its parent.
"""

import importlib
import math
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from lsdc.dicom.frames import COUNT, HeaderBatch, pack, read_request
from lsdc.dicom.preflight import DeclinedError, OpenFile, RefusedError, TransientError, open_dicom

# Address space: a header that promises gigabytes causes a MemoryError instead of swapping.
MEMORY_LIMIT_BYTES = 2**30
# By their full names, which fingerprints of code follow.
_MODULES = {"headers": "lsdc.dicom.headers", "pixels": "lsdc.dicom.pixels"}

Parts = list[bytes | memoryview]
Read = Callable[[OpenFile], Any]


class Answer(Protocol):
    """Collects the results of reading files into frames."""

    def add(self, result: Any, status: tuple[int, int], slot: int) -> None:
        """Add the result of reading a file."""
        ...

    def is_full(self) -> bool:
        """Return whether it should be sent before more is added."""
        ...

    def rest(self) -> Parts:
        """Return the parts of a frame with all that was added; none if nothing was."""
        ...


def main() -> None:
    """Serve until stdin ends."""
    work, reader, seconds, count, slots = sys.argv[1:]
    answers = os.dup(sys.stdout.fileno())
    _silence(sys.stdout)
    module = importlib.import_module(_MODULES[work])
    importlib.import_module(reader)
    _limit_memory()
    _silence(sys.stderr)
    _write(answers, pack({"ready": True}))
    serve(
        getattr(module, f"read_with_{reader}"),
        HeaderBatch() if work == "headers" else module.ImageBatch(mmap.mmap(int(slots), 0)),
        seconds=float(seconds),
        begun=mmap.mmap(int(count), COUNT.size),
        send=lambda parts: _write(answers, parts),
        # After an exception dicomsdl's heap may be damaged, and it may die on another file.
        ends_at_failure=reader == "dicomsdl",
    )


def serve(
    read: Read,
    answer: Answer,
    *,
    seconds: float,
    begun: mmap.mmap,
    send: Callable[[Parts], None],
    ends_at_failure: bool,
) -> None:
    """Answer batch after batch, until stdin ends or a reader raises."""
    at = 0
    alarm = Alarm(seconds)
    while files := read_request(sys.stdin.buffer):
        for path, slot, frame in files:
            # Shared memory costs nothing; a message per file would take most of the time.
            COUNT.pack_into(begun, 0, at)
            alarm.put_off()
            status = None
            try:
                with open_dicom(path, frame) as file:
                    status = file.status
                    result = read(file)
            except Exception as error:  # noqa: BLE001  # a hostile file may raise anything
                alarm.off()
                send(answer.rest())
                kind, reason = _why(error)
                status = getattr(error, "status", None) or status
                head = {"count": 1, kind: reason, "status": status}
                if getattr(error, "no_dicom", False):
                    head["no_dicom"] = True
                send(pack(head | {"where": _where(error)} if kind == "failed" else head))
                if kind == "failed" and ends_at_failure:
                    return
            else:
                answer.add(result, status, slot)
                if answer.is_full():
                    alarm.off()
                    send(answer.rest())
            at += 1
        alarm.off()
        send(answer.rest())


class Alarm:
    """A watchdog that ends the process if not reset for so many seconds, or up to a quarter more.

    The system ends it, even if the supervisor is gone or a decoder holds the interpreter's lock.
    Reading the clock costs less than setting the timer for every file.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._slack = seconds, min(0.25, seconds / 4)
        self._set = -math.inf

    def put_off(self) -> None:
        """Restart the countdown."""
        now = time.monotonic()
        if now - self._set > self._slack:
            signal.setitimer(signal.ITIMER_REAL, self._seconds + self._slack)
            self._set = now

    def off(self) -> None:
        """Stop the countdown until it is restarted."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._set = -math.inf


def _why(error: Exception) -> tuple[str, str]:
    if isinstance(error, RefusedError):
        return "refused", str(error)
    if isinstance(error, DeclinedError):
        return "declined", str(error)
    if isinstance(error, TransientError):
        return "passing", str(error)
    if isinstance(error, MemoryError):
        return "failed", f"needs more than {MEMORY_LIMIT_BYTES // 2**20:,} MiB of memory"
    return "failed", "damaged, cannot be parsed"


def _where(error: Exception) -> str:
    """Return the error's type and place, not its text, which may quote a value from the file."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__


def _silence(stream: TextIO) -> None:
    """Discard all output: libraries may print values from the file."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > MEMORY_LIMIT_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, hard))


def _write(descriptor: int, parts: Parts) -> None:
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[os.write(descriptor, left) :]


if __name__ == "__main__":
    main()
