"""The workplace of a prediction: where it writes and what it may use of the machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lsdc.training.events import Event

OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Workplace:
    """Where a prediction writes and what it may use of the machine.

    Attributes:
        folder: a folder for files that are needed until the end.
        log: the file that the output of child processes is appended to.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads, and of processes that read files.
        on_event: called with the progress of reading files and of predicting.
    """

    folder: Path
    log: Path
    device: str
    threads: int
    on_event: OnEvent
