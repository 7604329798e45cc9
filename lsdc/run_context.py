"""The context that the threads of a run share: its end, its child processes, its listeners.

Python raises an interrupt in the main thread only. Without the context, other threads would keep
waiting for locks and children, and start more of them. Prefect copies context variables to the
threads of its tasks, so these find the context of their run.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from subprocess import Popen
from typing import Any


class RunContext:
    """What the threads of a run share; a part of a run may have a context within it.

    Attributes:
        children: the processes that threads wait for.
        listeners: functions that are called with the run's progress.
    """

    def __init__(self, around: "RunContext | None" = None) -> None:
        self.children: set[Popen[bytes]] = set() if around is None else around.children
        self.listeners: list[Callable[[Any], None]] = [] if around is None else around.listeners
        self._shutdown = threading.Event()
        self._within: list[RunContext] = []
        self._around = around
        if around is not None:
            around._within.append(self)
            if around.shutdown_requested():
                self._shutdown.set()

    def request_shutdown(self) -> None:
        """Ask all threads to stop waiting."""
        self._shutdown.set()
        for each in self._within:
            each.request_shutdown()

    def shutdown_requested(self) -> bool:
        """Return whether a shutdown was requested."""
        return self._shutdown.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep, but return at once when a shutdown is requested."""
        self._shutdown.wait(seconds)

    @contextmanager
    def within(self) -> Iterator["RunContext"]:
        """Use a context for a part of the run: its shutdown does not stop the rest of the run."""
        part = RunContext(self)
        try:
            with _using(part):
                yield part
        finally:
            self._within.remove(part)


# For code outside runs: child processes, and tasks on hosts of a Dask cluster.
_OF_THE_PROCESS = RunContext()
_current: ContextVar[RunContext] = ContextVar("run_context", default=_OF_THE_PROCESS)


def run_context() -> RunContext:
    """Return the context of the run that this thread works for."""
    return _current.get()


@contextmanager
def own_run_context() -> Iterator[RunContext]:
    """Give a run a context of its own in the block, unless its caller has given it one."""
    if _current.get() is not _OF_THE_PROCESS:
        yield _current.get()
        return
    with _using(RunContext()) as context:
        yield context


@contextmanager
def _using(context: RunContext) -> Iterator[RunContext]:
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
