"""The limits of a prediction from a bundle: time, and memory of all its processes together."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import psutil

from lsdc.messages import counted

# A machine ends what exceeds its memory, so a child is ended a little earlier.
_SHARE = 0.9
_POLL_SECONDS = 0.5
_FIRST_BLOCK, _SLOWER = 4, 1.2


class TimeIsUpError(BaseException):
    """The time limit is reached; not an `Exception`, so that it is not taken for a study's."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUpError` in the block, in the main thread, once the seconds have passed."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class MemoryLimit:
    """A limit of the memory of this process and its children; memory that they share counts once.

    Attributes:
        gigabytes: the limit.
        ended: how many children were killed, as all together came too near to it.
    """

    gigabytes: float
    ended: int = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Kill the largest child in the block while 90 % of the limit are exceeded.

        A killed child is a `ChildDiedError` of its caller.
        """
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()

    def __str__(self) -> str:
        """Return in words what was ended, and what to do."""
        return (
            f"a process was ended {counted(self.ended, 'time')}, near the memory limit of "
            f"{self.gigabytes:g} GB; try --studies-at-once 8, or a higher --memory if there is more"
        )

    def _watch(self, done: threading.Event) -> None:
        own, limit = psutil.Process(), self.gigabytes * 1e9 * _SHARE
        while not done.wait(_POLL_SECONDS):
            children = {each: _bytes_of(each) for each in own.children(recursive=True)}
            if children and _bytes_of(own) + sum(children.values()) > limit:
                with suppress(psutil.Error):
                    max(children, key=lambda each: children[each]).kill()
                    self.ended += 1


def _bytes_of(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        memory = process.memory_full_info()
        return float(getattr(memory, "pss", memory.uss))  # macOS has no pss
    return 0.0  # it has ended


class Pace:
    """How fast studies are done, and how many more fit into the time.

    Args:
        studies: the number of all studies.
        seconds: the time for them.
        at_once: the largest number to do together.
        unit: what a study is called.
    """

    def __init__(self, studies: int, seconds: float, at_once: int, unit: str = "study") -> None:
        self._studies, self._at_once, self._unit = studies, at_once, unit
        self._begun = time.monotonic()
        self._ends = self._begun + seconds
        self._done = 0

    def next_size(self) -> int:
        """Return how many studies to do next: few at first, none if not even one fits."""
        if not self._done:
            return min(_FIRST_BLOCK, self._at_once)
        fits = int((self._ends - time.monotonic()) / (self._seconds_each() * _SLOWER))
        return max(0, min(self._at_once, fits))

    def did(self, studies: int) -> None:
        """Note that so many more studies are done."""
        self._done += studies

    def __str__(self) -> str:
        """Return how many are done, and an estimate of the time left."""
        spent = time.monotonic() - self._begun
        every = counted(self._studies, self._unit)
        text = f"{self._done:,} of {every} in {_duration(spent)}"
        left = self._seconds_each() * (self._studies - self._done)
        if self._done == self._studies:
            return text
        limit = _duration(self._ends - time.monotonic())
        return f"{text}; about {_duration(left)} left, the limit is in {limit}"

    def _seconds_each(self) -> float:
        return (time.monotonic() - self._begun) / max(self._done, 1)


def _duration(seconds: float) -> str:
    """Return a duration in words.

    >>> _duration(42.4), _duration(600), _duration(9000)
    ('42 s', '10 min', '2 h 30 min')
    """
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
