"""The supervisor: reads files in child processes, so that a file that crashes one affects no other.

dicomsdl is fast but crashes on some files. So children take paths in batches, count their position
in shared memory, and answer for many files at once or for each. If one crashes, hangs or raises,
the file in flight goes to another child, which reads with pydicom; if that fails too, it is a
`Failure`. The rest of the batch goes back into the queue.
"""

import contextlib
import importlib.util
import logging
import selectors
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

from lsdc.dicom.names import unescape_name
from lsdc.dicom.process import Batch, Child, ChildEndedError
from lsdc.dicom.slots import Slots

log = logging.getLogger(__name__)

# A file that takes longer has hung: the largest real ones take a fraction of a second.
FILE_SECONDS = 30.0
# Batches per child: it need not wait while its parent is busy.
_BATCHES_A_CHILD = 2
# Requests fit an empty pipe, so that writing one never blocks on a hung child.
_REQUEST_BYTES = 32_000
# Short, so that an exception set from another thread (a timeout, a cancellation) is seen soon.
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Read:
    """A child's result for `count` files: a head of plain values and a body of raw bytes.

    Attributes:
        slots: the slots of the images that are not in the body.
    """

    count: int
    head: dict[str, Any]
    body: bytearray
    slots: tuple[int, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a file could not be read; holds no value from the file.

    Attributes:
        passing: whether the failure is transient, so that a retry may succeed.
        status: the file's size in bytes and mtime in ns when it was opened, if it was.
        no_dicom: whether the file is not DICOM at all.
    """

    reason: str
    passing: bool = False
    status: tuple[int, int] | None = None
    count: int = 1
    no_dicom: bool = False


def readers() -> tuple[str, ...]:
    """Return the installed readers, in the order in which they try a file."""
    if importlib.util.find_spec("dicomsdl") is None:
        log.warning("dicomsdl is not installed; pydicom reads all files, many times slower")
        return ("pydicom",)
    return ("dicomsdl", "pydicom")


def supervise(
    names: Sequence[str],
    *,
    work: str,
    processes: int,
    batch_files: int,
    files_ahead: int,
    file_seconds: float = FILE_SECONDS,
    slots: Slots | None = None,
    frames: Sequence[int] | None = None,
) -> Iterator[Read | Failure]:
    """Read files in child processes and yield their outcomes, in order.

    No child is left at the end, whether by exhaustion, close or exception.

    Args:
        names: the files, as `names.escape_name` writes them.
        work: `headers` or `pixels`.
        processes: the number of children at work.
        batch_files: the number of files per request.
        files_ahead: how many files beyond the next one to yield are read ahead. Keep it small if
            answers are large, as all of these are in memory while the caller is busy.
        file_seconds: the time limit per file.
        frames: the frame to read of each file, from 1; by default the first.
        slots: shared memory for images; the caller gives back the slots of each `Read`.

    Raises:
        StageError: a child could not start at all.
    """
    frames = [1] * len(names) if frames is None else frames
    with _Crew(
        names, frames, work, processes, batch_files, files_ahead, file_seconds, slots
    ) as crew:
        yield from crew.run()


class _Crew(contextlib.AbstractContextManager["_Crew"]):
    """The children, the files waiting for a child, and the answers waiting for their turn."""

    def __init__(
        self,
        names: Sequence[str],
        frames: Sequence[int],
        work: str,
        processes: int,
        batch_files: int,
        files_ahead: int,
        seconds: float,
        slots: Slots | None,
    ) -> None:
        self._names, self._frames, self._work, self._seconds = names, frames, work, seconds
        self._processes, self._batch_files = processes, batch_files
        self._files_ahead, self._slots = files_ahead, slots
        self._first, *self._others = readers()
        # Files that come (back) to a reader, sorted: those of ended children come in any order, and
        # any of them may be next. Files that no reader has had yet start at `_fresh`.
        self._waiting: dict[str, list[tuple[int, Batch]]]
        self._waiting = {reader: [] for reader in (self._first, *self._others)}
        self._fresh = 0
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._answers: dict[int, Read | Failure] = {}
        self._turn = 0

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.end()
        self._selector.close()

    def run(self) -> Iterator[Read | Failure]:
        while self._turn < len(self._names):
            self._give_out()
            self._listen()
            while self._turn in self._answers:
                answer = self._answers.pop(self._turn)
                self._turn += answer.count
                given = time.monotonic()
                yield answer
                for child in self._children:  # their answers were not read meanwhile
                    child.active_at += time.monotonic() - given

    def _give_out(self) -> None:
        for reader in self._waiting:
            while (batch := self._next_batch(reader)) is not None:
                child = self._free_child(reader)
                if child is None:
                    self._wait(reader, batch)
                    break
                child.ask(batch)

    def _next_batch(self, reader: str) -> Batch | None:
        """Return the reader's next files; new ones only within `files_ahead` of the next."""
        if self._waiting[reader]:
            _, batch = heappop(self._waiting[reader])
            return batch
        limit = min(self._turn + self._files_ahead, len(self._names))
        if reader != self._first or self._fresh >= limit:
            return None
        paths: list[bytes] = []
        size = 0
        for name in self._names[self._fresh : self._fresh + self._batch_files]:
            path = unescape_name(name)
            size += len(path)
            if paths and size > _REQUEST_BYTES:
                break
            paths.append(path)
        frames = self._frames[self._fresh : self._fresh + len(paths)]
        batch = Batch(self._fresh, paths, list(frames))
        self._fresh += len(paths)
        return batch

    def _wait(self, reader: str, batch: Batch) -> None:
        heappush(self._waiting[reader], (batch.start, batch))

    def _free_child(self, reader: str) -> Child | None:
        """Return the least busy child; a new one while all are busy and more are allowed."""
        mine = [child for child in self._children if child.reader == reader]
        least = min(mine, key=lambda child: len(child.pending), default=None)
        if least is not None and (not least.pending or len(mine) >= self._processes):
            return least if len(least.pending) < _BATCHES_A_CHILD else None
        child = Child(self._work, reader, self._seconds, self._slots)
        self._children.append(child)
        self._selector.register(child, selectors.EVENT_READ)
        return child

    def _listen(self) -> None:
        for key, _ in self._selector.select(_POLL_SECONDS):
            child: Child = key.fileobj  # type: ignore[assignment]  # as registered
            try:
                for batch, head, body in child.answers():
                    self._take(child, batch, head, body)
                    if child not in self._children:  # retired; another child has its work now
                        break
            except ChildEndedError as ended:
                self._handle_end(child, ended)
        for child in list(self._children):
            try:
                child.check_time()
            except ChildEndedError as ended:
                self._handle_end(child, ended)

    def _take(self, child: Child, batch: Batch, head: dict[str, Any], body: bytearray) -> None:
        status = _status(head)
        if "refused" in head:
            no_dicom = head.get("no_dicom") is True
            reason = _as_utf8(head["refused"])
            self._answers[batch.start] = Failure(reason, status=status, no_dicom=no_dicom)
        elif "passing" in head:
            self._answers[batch.start] = Failure(_as_utf8(head["passing"]), passing=True)
        elif "declined" in head:
            self._fail(batch, child.reader, _as_utf8(head["declined"]), status=status)
        elif "failed" in head:
            where = _as_utf8(head.get("where"))
            log.debug("%s: %s raised %s", self._names[batch.start], child.reader, where)
            self._fail(batch, child.reader, _as_utf8(head["failed"]), status=status)
            if child.reader == "dicomsdl":
                self._retire(child)  # after an exception its heap may be damaged
        else:
            self._answers[batch.start] = Read(len(batch), head, body, batch.slots)
            return
        self._release(batch)

    def _release(self, batch: Batch) -> None:
        """Free the batch's slots, which hold nothing useful."""
        if self._slots is not None:
            for slot in batch.slots:
                self._slots.release(slot)

    def _handle_end(self, child: Child, ended: ChildEndedError) -> None:
        """Handle the end of a child, which is blamed on the file in flight, if there was one."""
        if child not in self._children:  # it failed before and is retired
            return
        if not child.pending:
            self._retire(child)
            return
        at, first = child.in_flight(), child.pending.popleft()
        self._release(first.part(at, at + 1))
        if at + 1 < len(first):
            child.pending.appendleft(first.part(at + 1))
        if at:
            child.pending.appendleft(first.part(0, at))
        self._retire(child)
        self._fail(first.part(at, at + 1), child.reader, str(ended), passing=ended.timed_out)

    def _retire(self, child: Child) -> None:
        """End a child; its unanswered files wait for another."""
        for batch in child.pending:
            self._release(batch)
            self._wait(child.reader, replace(batch, slots=()))
        self._children.remove(child)
        self._selector.unregister(child)
        child.end()

    def _fail(
        self,
        file: Batch,
        reader: str,
        reason: str,
        *,
        passing: bool = False,
        status: tuple[int, int] | None = None,
    ) -> None:
        message = f"{reader}: {reason}"
        if self._others and reader == self._first:
            self._wait(self._others[0], Batch(file.start, file.paths, file.frames, message))
        else:
            first = f" ({file.first_reason})" if file.first_reason else ""
            self._answers[file.start] = Failure(message + first, passing, status)


def _as_utf8(reason: Any) -> str:
    """Return a reason as valid UTF-8, for tables."""
    return str(reason).encode(errors="replace").decode()


def _status(head: dict[str, Any]) -> tuple[int, int] | None:
    match head.get("status"):
        case [int(size_bytes), int(mtime_ns)] if max(abs(size_bytes), abs(mtime_ns)) < 2**63:
            return size_bytes, mtime_ns
        case _:
            return None
