"""Context of a run, shared by its threads: shutdown flag, child processes, progress listeners.

Python raises KeyboardInterrupt in the main thread only. Without the context, the other threads
would keep waiting for locks and child processes, and would start new ones. Prefect copies context
variables to the threads of its tasks, so each thread finds the context of its run.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from subprocess import Popen
from typing import Any


class RunContext:
    """State shared by the threads of a run. Contexts can be nested: a part of a run can have one.

    Attributes:
        children: the child processes of the run.
        listeners: functions that are called with the run's progress.
    """

    def __init__(self, parent: "RunContext | None" = None) -> None:
        self.children: set[Popen[bytes]] = set() if parent is None else parent.children
        self.listeners: list[Callable[[Any], None]] = [] if parent is None else parent.listeners
        self._shutdown = threading.Event()
        self._nested: list[RunContext] = []
        if parent is not None:
            parent._nested.append(self)
            if parent.shutdown_requested():
                self._shutdown.set()

    def request_shutdown(self) -> None:
        """Set the shutdown flag, here and in all nested contexts, so that threads stop waiting."""
        self._shutdown.set()
        for nested in tuple(self._nested):  # a copy: threads may end nested contexts
            nested.request_shutdown()

    def shutdown_requested(self) -> bool:
        """Return whether a shutdown was requested."""
        return self._shutdown.is_set()

    def sleep(self, seconds: float) -> None:
        """Sleep, but return at once when a shutdown is requested."""
        self._shutdown.wait(seconds)

    @contextmanager
    def nested(self) -> Iterator["RunContext"]:
        """Use a nested context for a part of the run; its shutdown does not stop the whole run."""
        part = RunContext(self)
        try:
            with _using(part):
                yield part
        finally:
            self._nested.remove(part)


# Default, for code outside a run: in child processes, and in tasks on Dask workers.
_PROCESS_CONTEXT = RunContext()
_current: ContextVar[RunContext] = ContextVar("run_context", default=_PROCESS_CONTEXT)


def run_context() -> RunContext:
    """Return the context of the run to which this thread belongs."""
    return _current.get()


@contextmanager
def own_run_context() -> Iterator[RunContext]:
    """Create a context for the run in the block, unless the caller has created one."""
    if _current.get() is not _PROCESS_CONTEXT:
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
