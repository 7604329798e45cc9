"""Interrupts of a running training: pause files and SIGTERM."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsdc.errors import GOES_ON, ResumeLaterError
from lsdc.training.events import Paused
from lsdc.training.process import Tell

_PAUSE_SECONDS = 1.0

IsToldToLeave = Callable[[], bool]


@contextmanager
def catch_sigterm() -> Iterator[IsToldToLeave]:
    """Catch SIGTERM within the block and yield a check for it; main thread only."""
    told: list[int] = []

    def note(number: int, _frame: Any) -> None:
        told.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: bool(told)
    finally:
        signal.signal(signal.SIGTERM, before)


def check_interrupts(
    pauses: Sequence[Path],
    is_told_to_leave: IsToldToLeave,
    *,
    save: Callable[[], None],
    tell: Tell,
) -> None:
    """Wait while one of the files `pauses` exists; exit on SIGTERM. Saves before either.

    Raises:
        ResumeLaterError: SIGTERM was received.
    """

    def found() -> list[Path]:
        return [pause for pause in pauses if pause.exists()]

    if not found() and not is_told_to_leave():
        return
    save()
    while (there := found()) and not is_told_to_leave():
        tell(Paused(by=str(there[0])))
        time.sleep(_PAUSE_SECONDS)
    if is_told_to_leave():
        raise ResumeLaterError(f"training: stopped by SIGTERM after saving a checkpoint; {GOES_ON}")
