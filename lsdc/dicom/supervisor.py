"""The supervisor: files are read in child processes, and a file that ends one costs itself alone.

dicomsdl reads fast and dies on some files. So children take paths in batches and answer file by
file; where one dies, hangs or raises, the first file without an answer is the one in flight. That
file goes to another child, which reads with pydicom; where that fails too, it is a `Failure`. The
rest of the batch goes back into the queue.
"""

import contextlib
import importlib.util
import logging
import selectors
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lsdc.dicom.process import Child, ChildEndedError, File

log = logging.getLogger(__name__)

# A file that takes longer has hung: the largest real ones take a fraction of a second.
FILE_SECONDS = 30.0
# Batches a child that are given out, or answered, ahead of the file whose turn it is.
_BATCHES_AHEAD = 3
# A request fits an empty pipe, so that writing it never waits for a child that has stopped.
_REQUEST_BYTES = 32_000
# Short, so that an exception set from another thread (a timeout, a cancellation) is seen soon.
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Read:
    """What a child read: a head of plain values and a body of raw bytes."""

    head: dict[str, Any]
    body: bytearray


@dataclass(frozen=True)
class Failure:
    """Why a file could not be read; holds no value from the file."""

    reason: str


def readers() -> tuple[str, ...]:
    """The readers at hand, in the order in which a file meets them."""
    if importlib.util.find_spec("dicomsdl") is None:
        log.warning("dicomsdl is not installed; pydicom reads alone, many times slower")
        return ("pydicom",)
    return ("dicomsdl", "pydicom")


def supervise(
    paths: Sequence[bytes],
    *,
    work: str,
    processes: int,
    batch_files: int,
    file_seconds: float = FILE_SECONDS,
) -> Iterator[Read | Failure]:
    """Read files in child processes and yield what became of each, in order.

    However this ends, by exhaustion, close or exception, no child is left.

    Args:
        paths: the files' names as the system has them.
        work: `headers` or `pixels`.
        processes: how many children read at once.
        batch_files: files a request. Few where answers are large: while the caller is busy,
            memory holds a few times `processes * batch_files` answers.
        file_seconds: a file that takes longer is given up.

    Raises:
        StageError: a child could not start at all.
    """
    with _Crew(paths, work, processes, batch_files, file_seconds) as crew:
        yield from crew.run()


class _Crew(contextlib.AbstractContextManager["_Crew"]):
    """The children, the files that wait for one, and the answers that wait for their turn."""

    def __init__(
        self, paths: Sequence[bytes], work: str, processes: int, batch_files: int, seconds: float
    ) -> None:
        self._work, self._seconds = work, seconds
        self._processes, self._batch_files = processes, batch_files
        self._first, *self._others = readers()
        self._waiting = {reader: deque[File]() for reader in (self._first, *self._others)}
        self._waiting[self._first].extend(File(n, path) for n, path in enumerate(paths))
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._answers: dict[int, Read | Failure] = {}
        self._turn, self._total = 0, len(paths)

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.end()
        self._selector.close()

    def run(self) -> Iterator[Read | Failure]:
        while self._turn < self._total:
            self._give_out()
            self._listen()
            while self._turn in self._answers:
                answer = self._answers.pop(self._turn)
                self._turn += 1
                given = time.monotonic()
                yield answer
                for child in self._children:  # nobody listened meanwhile
                    child.heard += time.monotonic() - given

    def _give_out(self) -> None:
        for reader, waiting in self._waiting.items():
            while self._near(waiting) and (child := self._idle_child(reader)) is not None:
                child.ask(self._next_batch(waiting))

    def _idle_child(self, reader: str) -> Child | None:
        """A child without work; a new one if the files that wait are worth its start."""
        mine = [child for child in self._children if child.reader == reader]
        for child in mine:
            if not child.in_flight:
                return child
        worth_it = len(self._waiting[reader]) >= self._batch_files
        if mine and (len(mine) >= self._processes or not worth_it):
            return None
        child = Child(self._work, reader, self._seconds)
        self._children.append(child)
        self._selector.register(child, selectors.EVENT_READ)
        return child

    def _near(self, waiting: deque[File]) -> bool:
        """Whether the next file that waits is near enough to the one whose turn it is."""
        ahead = _BATCHES_AHEAD * self._processes * self._batch_files
        return bool(waiting) and waiting[0].number < self._turn + ahead

    def _next_batch(self, waiting: deque[File]) -> list[File]:
        batch = [waiting.popleft()]
        size = len(batch[0].path)
        while self._near(waiting) and len(batch) < self._batch_files:
            size += len(waiting[0].path)
            if size > _REQUEST_BYTES:
                break
            batch.append(waiting.popleft())
        return batch

    def _listen(self) -> None:
        for key, _ in self._selector.select(_POLL_SECONDS):
            child: Child = key.fileobj  # type: ignore[assignment]  # as registered
            try:
                for file, head, body in child.answers():
                    self._take(child, file, head, body)
            except ChildEndedError as ended:
                self._lose(child, str(ended))
        for child in list(self._children):
            try:
                child.check_time()
            except ChildEndedError as ended:
                self._lose(child, str(ended))

    def _take(self, child: Child, file: File, head: dict[str, Any], body: bytearray) -> None:
        if "refused" in head:
            self._answers[file.number] = Failure(str(head["refused"]))
        elif "declined" in head:
            self._fail(file, child.reader, str(head["declined"]))
        elif "failed" in head:
            self._fail(file, child.reader, str(head["failed"]))
            if child.reader == "dicomsdl":
                self._retire(child)  # after an exception its heap may be damaged
        else:
            self._answers[file.number] = Read(head, body)

    def _lose(self, child: Child, reason: str) -> None:
        """A child ended; it is the fault of the first file that it has not answered, if any."""
        in_flight = child.in_flight.popleft() if child.in_flight else None
        self._retire(child)
        if in_flight is not None:
            self._fail(in_flight, child.reader, reason)

    def _retire(self, child: Child) -> None:
        """End a child; what it has not answered goes back to the head of the queue."""
        self._waiting[child.reader].extendleft(reversed(child.in_flight))
        self._children.remove(child)
        self._selector.unregister(child)
        child.end()

    def _fail(self, file: File, reader: str, reason: str) -> None:
        said = f"{reader}: {reason}"
        if self._others and reader == self._first:
            file.first_reason = said
            self._waiting[self._others[0]].append(file)
        else:
            first = f" ({file.first_reason})" if file.first_reason else ""
            self._answers[file.number] = Failure(said + first)
