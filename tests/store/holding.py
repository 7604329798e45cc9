"""Another process that holds a lock."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any


@contextmanager
def held_elsewhere(
    lock: Callable[..., AbstractContextManager[Any]], *arguments: Any
) -> Iterator[tuple[SpawnProcess, Event]]:
    """Hold `lock(*arguments)` in another process, until the event is set or the block is left."""
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(held, release, lock, *arguments))
    holder.start()
    try:
        assert held.wait(60)
        yield holder, release
    finally:
        if holder.is_alive():  # setting the event of a killed process would wait for it
            release.set()
        holder.join()


def _hold(
    held: Event,
    release: Event,
    lock: Callable[..., AbstractContextManager[Any]],
    *arguments: Any,
) -> None:
    with lock(*arguments):
        held.set()
        release.wait()
