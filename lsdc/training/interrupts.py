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
    agree: Callable[[bool], bool] = bool,
) -> None:
    """Wait while one of the files `pauses` exists; exit on SIGTERM. Saves before either.

    `agree` returns whether any of the processes that train together says so: all of them then wait
    or exit at the same step.

    Raises:
        ResumeLaterError: SIGTERM was received.
    """

    def found() -> list[Path]:
        return [pause for pause in pauses if pause.exists()]

    if not agree(bool(found()) or stop_requested()):
        return
    save()
    while agree(bool(there := found())) and not agree(stop_requested()):
        on_event(Paused(by=str((there or pauses)[0])))
        time.sleep(_PAUSE_SECONDS)
    if agree(stop_requested()):
        raise ResumeLaterError(f"training: stopped by SIGTERM after saving a checkpoint; {GOES_ON}")
