"""The run's progress: tasks report it, displays listen."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lsdc.errors import InterruptedRunError
from lsdc.run_context import run_context
from lsdc.training.events import Event
from lsdc.training.process import OnEvent


@dataclass(frozen=True)
class Progress:
    """One thing that happened in a task run.

    Attributes:
        name: the task run's name, for example `crops (train)` or `fold 2`.
        state: Prefect's state name (`Running`, `Completed`, `Cached`, `Failed`), or None for a
            step within the run.
        done, total: steps, where they are counted.
        task_runs: the number of further task runs that have ended without other reports.
        event: an event from a child process.
    """

    name: str
    state: str | None = None
    done: int = 0
    total: int = 0
    task_runs: int = 0
    event: Event | None = None


# Prefect's log messages about runs that a signal ended.
_ABORTED = tuple(
    f"Execution was aborted by {by} signal" for by in ("an interrupt", "a termination")
)

Listener = Callable[[Progress], None]


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call the listener with all progress of this run during the block."""
    listeners = run_context().listeners
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def report_progress(progress: Progress) -> None:
    """Pass progress to all listeners."""
    for listener in run_context().listeners:
        listener(progress)


def steps_callback(name: str) -> Callable[[int, int], None]:
    """Return a callback for library functions that count `done` and `total`."""
    return lambda done, total: report_progress(Progress(name, done=done, total=total))


def event_callback(name: str) -> OnEvent:
    """Return a callback for events from child processes."""
    return lambda event: report_progress(Progress(name, event=event))


def report_state(task: Any, task_run: Any, state: Any) -> None:  # noqa: ARG001 (a Prefect hook)
    """Report a task run's new state; a failure during shutdown counts as cancelled."""
    is_cancelled = state.is_failed() and run_context().shutdown_requested()
    report_progress(Progress(task_run.name, state="Cancelled" if is_cancelled else state.name))


def hide_prefect_messages() -> None:
    """Keep Prefect's internal messages out of the logs: several lines per task."""
    for runs in ("prefect.engine", "prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(runs).addFilter(_is_for_users)


def _is_for_users(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    # An interrupt would look like a failure; it has its own message.
    is_the_end = any(words in message for words in _ABORTED)
    is_the_end |= run_context().shutdown_requested() and InterruptedRunError.__name__ in message
    return not is_the_end and not message.startswith(("Running hook ", "Hook "))
