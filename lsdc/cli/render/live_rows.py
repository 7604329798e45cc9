"""Rows of the live display: the state of each task run, and its estimated time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lsdc.training.events import Paused
from tasks.progress import Progress

MARKS = {"Completed": "✓", "Cached": "✓", "Failed": "✗", "Crashed": "✗", "TimedOut": "✗"}
MARKS |= {"Cancelled": "-"}
# What must be seen before time left is estimated; the first step includes startup, so is ignored.
_SIGHTINGS, _SECONDS = 3, 3.0


@dataclass
class Row:
    """The known state of one task run.

    Attributes:
        parts: descriptions of its current work, the most informative first.
        share: the completed fraction.
    """

    name: str
    clock: Callable[[], float] = time.monotonic
    state: str = "Running"
    share: float = 0.0
    parts: list[str] = field(default_factory=lambda: ["starting"])
    started: float = 0.0
    ended: float | None = None
    _seen: int = 0  # steps since this process began to work on it
    _first: tuple[float, float] = (0.0, 0.0)  # time and fraction at which the first step ended
    _latest: float = 0.0

    def __post_init__(self) -> None:
        """Start the clock."""
        self.started = self.clock()

    @property
    def is_over(self) -> bool:
        """True if the task run has reached a final state."""
        return self.state in MARKS

    @property
    def is_done(self) -> bool:
        """True if it completed successfully."""
        return self.state in ("Completed", "Cached")

    @property
    def seconds(self) -> float:
        """The seconds it has run so far, or ran in all."""
        return (self.clock() if self.ended is None else self.ended) - self.started

    @property
    def words(self) -> str:
        """The description of its current work."""
        return ", ".join(self.parts)

    def update(self, progress: Progress) -> None:
        """Update the row from a progress event."""
        event = progress.event
        if progress.state is not None:
            self.state = progress.state
            self.ended = self.clock() if self.is_over else None
            if self.is_over and not self._seen:
                self.parts = []  # it ended before it did any work
        elif progress.total:
            self.parts = [f"{progress.done:,} of {progress.total:,}"]
            self._step(progress.done / progress.total)
        elif event is not None:
            self.parts = event.words or self.parts
            if isinstance(event, Paused):
                self._seen = 0  # time spent waiting says nothing about its pace
            if event.share is not None:
                self._step(event.share)

    def seconds_left(self) -> float | None:
        """Return the estimated seconds left; None at the end or until there is enough data."""
        begun, first = self._first
        if self.is_over or self._seen < _SIGHTINGS or self.share >= 1:
            return None
        if self._latest - begun < _SECONDS or self.share <= first:
            return None
        pace = (self._latest - begun) / (self.share - first)
        left = pace * (1 - self.share) - (self.clock() - self._latest)
        return left if left > 0 else None

    def _step(self, share: float) -> None:
        now = self.clock()
        if self._seen == 0 or share < self.share:  # new, or a new count has begun
            self._seen, self._first = 0, (now, share)
        self._seen, self.share, self._latest = self._seen + 1, min(share, 1.0), now


def clock_words(seconds: float) -> str:
    """Format a duration: 9.5 s, 40 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{min(seconds, 59):.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
