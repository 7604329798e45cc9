"""Interrupts of a running training: pause files and SIGTERM."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsdc.errors import GOES_ON, ResumeLaterError
from lsdc.training.events import Paused
from lsdc.training.process import OnEvent

_PAUSE_SECONDS = 1.0

StopRequested = Callable[[], bool]


@contextmanager
def catch_sigterm() -> Iterator[StopRequested]:
    """Catch SIGTERM within the block and yield a check for it; main thread only."""
    received: list[int] = []

    def note(number: int, _frame: Any) -> None:
        received.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)


def check_interrupts(
    pauses: Sequence[Path],
    stop_requested: StopRequested,
    *,
    save: Callable[[], None],
    on_event: OnEvent,
) -> None:
    """Wait while one of the files `pauses` exists; exit on SIGTERM. Saves before either.

    Raises:
        ResumeLaterError: SIGTERM was received.
    """

    def found() -> list[Path]:
        return [pause for pause in pauses if pause.exists()]

    if not found() and not stop_requested():
        return
    save()
    while (there := found()) and not stop_requested():
        on_event(Paused(by=str(there[0])))
        time.sleep(_PAUSE_SECONDS)
    if stop_requested():
        raise ResumeLaterError(f"training: stopped by SIGTERM after saving a checkpoint; {GOES_ON}")
