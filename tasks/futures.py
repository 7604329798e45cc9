"""Futures: waiting for tasks that run elsewhere."""

import threading
from typing import TypeVar

from prefect.futures import PrefectFuture

R = TypeVar("R")

_SECONDS = 0.5


def result_of(future: PrefectFuture[R]) -> R:
    """The result of a submitted task, once it is there; Ctrl-C is heard meanwhile.

    polars takes SIGINT over, in a way that a wait without end goes on after it.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    while not done.wait(_SECONDS):
        pass
    return future.result()
