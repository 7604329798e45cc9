"""Futures: waiting for tasks that run elsewhere."""

import threading
from typing import TypeVar

from prefect.futures import PrefectFuture

R = TypeVar("R")

_SECONDS = 0.5


def result_of(future: PrefectFuture[R]) -> R:
    """Wait for a submitted task and return its result; Ctrl-C interrupts the wait.

    polars replaces the SIGINT handler so that a wait without a timeout would continue after it.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    while not done.wait(_SECONDS):
        pass
    return future.result()
