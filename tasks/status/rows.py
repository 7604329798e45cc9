"""The state of each task run of a run, as its progress events report it, and the time left."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lsdc.messages import counted
from lsdc.training.events import Paused
from tasks.progress import Progress

MARKS = {"Completed": "✓", "Cached": "✓", "Failed": "✗", "Crashed": "✗", "TimedOut": "✗"}
ENDED = tuple(MARKS)
MARKS |= {"Cancelled": "-"}
# What must be seen before time left is estimated; the first step includes startup, so is ignored.
_SIGHTINGS, _SECONDS = 3, 3.0
FOLD = "fold "  # names of the task runs that train folds begin so


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

    @property
    def time_left(self) -> str:
        """The time left, or `finishing` if all steps are done but the task still saves."""
        left = self.seconds_left()
        return (
            "finishing" if self.share >= 1 else "" if left is None else f"{clock_words(left)} left"
        )

    def _step(self, share: float) -> None:
        now = self.clock()
        if self._seen == 0 or share < self.share:  # new, or a new count has begun
            self._seen, self._first = 0, (now, share)
        self._seen, self.share, self._latest = self._seen + 1, min(share, 1.0), now


class Rows:
    """The rows of a run, by the names of its task runs.

    Args:
        expected: the names of the expected task runs, as far as they are known.
    """

    def __init__(
        self, expected: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.expected, self.rows = expected, dict[str, Row]()
        self._clock, self._started = clock, clock()
        self._without_row = 0

    @property
    def ended(self) -> int:
        """The number of task runs that reached a final state."""
        return sum(row.is_over for row in self.rows.values()) + self._without_row

    @property
    def going(self) -> list[Row]:
        """The rows of the task runs that have not ended."""
        return [row for row in self.rows.values() if not row.is_over]

    @property
    def failed(self) -> list[str]:
        """The names of the task runs that failed."""
        return [row.name for row in self.rows.values() if MARKS.get(row.state) == "✗"]

    @property
    def stopped(self) -> list[str]:
        """The names of the task runs that did not end, or were cancelled."""
        return sorted(row.name for row in self.rows.values() if row.state not in ENDED)

    @property
    def reused(self) -> tuple[int, int]:
        """How many of the successful stages used a stored result, and how many there are."""
        done = [row for row in self.rows.values() if row.is_done]
        return sum(row.state == "Cached" for row in done), len(done)

    def update(self, progress: Progress) -> Row | None:
        """Update and return the row of a progress event; None if the event changes nothing."""
        self._without_row += progress.task_runs
        name = progress.name
        if progress.state == "Cancelled" and (name not in self.rows or self.rows[name].is_over):
            return None
        row = self.rows.setdefault(name, Row(name, self._clock))
        row.update(progress)
        return row

    def overall(self) -> list[str]:
        """Return the progress of the whole run in words, the most important first."""
        over = [name for name in self.expected if name in self.rows and self.rows[name].is_over]
        words = []
        if self.expected:
            stage = min(len(over) + 1, len(self.expected))
            words.append(f"stage {stage} of {len(self.expected)}")
        folds = [name for name in self.expected if name.startswith(FOLD)]
        if folds:
            done = sum(self.rows[name].is_done for name in folds if name in over)
            words.append(f"{done} of {counted(len(folds), 'fold')} done")
            if (left := self._folds_left(folds)) is not None:
                words.append(f"{clock_words(left)} left for the folds")
        return [*words, f"{clock_words(self._clock() - self._started)} so far"]

    def _folds_left(self, folds: Sequence[str]) -> float | None:
        """Estimate the seconds until all folds are trained, by the slowest; None if unknown."""
        begun = [self.rows[name] for name in folds if name in self.rows]
        going = [row for row in begun if not row.is_over]
        waiting = len(folds) - len(begun)
        left = {row.name: row.seconds_left() for row in going}
        known = [row.seconds for row in begun if row.state == "Completed"]
        known += [row.seconds + own for row in going if (own := left[row.name]) is not None]
        if not known or not (going or waiting):
            return None
        whole = max(known)
        own_left = [
            max(0.0, whole - row.seconds) if (own := left[row.name]) is None else own
            for row in going
        ]
        return max(own_left, default=0.0) + math.ceil(waiting / max(1, len(going))) * whole


def clock_words(seconds: float) -> str:
    """Format a duration: 9.5 s, 40 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{min(seconds, 59):.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
