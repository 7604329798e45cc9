"""The time and memory of computations: measured, and recorded for each result in a home."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from lsdc.store.files import write_text

ROOM = "costs"
INTERVAL_SECONDS = 1.0


class Cost(BaseModel):
    """What it took to compute a result.

    Attributes:
        stage: the stage that computed it.
        name: the name of the stage's task run, such as `crops train`.
        path: the folder of the result, relative to the home.
        seconds: the time from its start to its end.
        peak_bytes: the most memory that the run's processes used in that time, also for other
            stages that ran then; memory that processes share counts for each.
        ended: when it was finished.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    name: str
    path: str
    seconds: float
    peak_bytes: int
    ended: datetime


def record_cost(home: Path, cost: Cost) -> None:
    """Record the cost of a result, replacing that of an earlier computation of the same result."""
    name = re.sub(r"[^\w@.-]+", "-", cost.path)
    folder = home / ROOM / re.sub(r"\W+", "-", cost.stage)
    write_text(folder / f"{name}.json", cost.model_dump_json() + "\n")


def read_costs(home: Path) -> list[Cost]:
    """Return the costs of all results computed in a home, in the order in which they ended.

    A record that cannot be read is left out.

    >>> read_costs(Path("/no/such/home"))
    []
    """
    found = []
    for path in (home / ROOM).glob("*/*.json"):
        try:
            found.append(Cost.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):  # removed meanwhile, or of another version
            continue
    return sorted(found, key=lambda cost: (cost.ended, cost.stage, cost.path))


@dataclass
class Measured:
    """What a block took; complete once the block has ended.

    Attributes:
        seconds: its duration.
        peak_bytes: the largest sum of the resident memory of this process and its children.
    """

    seconds: float = 0.0
    peak_bytes: int = 0

    def take(self) -> None:
        """Measure the memory now."""
        self.peak_bytes = max(self.peak_bytes, resident_bytes())


@contextmanager
def measuring() -> Iterator[Measured]:
    """Measure a block: its memory at its start, at its end and once a second in between."""
    measured, ended, started = Measured(), threading.Event(), time.monotonic()

    def watch() -> None:
        measured.take()
        while not ended.wait(INTERVAL_SECONDS):
            measured.take()

    watcher = threading.Thread(target=watch, name="measure", daemon=True)
    watcher.start()
    try:
        yield measured
    finally:
        measured.seconds = time.monotonic() - started
        ended.set()
        watcher.join()
        measured.take()


def resident_bytes() -> int:
    """Return the resident memory of this process and of all processes that it started."""
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += int(process.memory_info().rss)
        except psutil.Error:  # it ended meanwhile
            continue
    return total
