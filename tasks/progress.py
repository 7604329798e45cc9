"""How far the run is: tasks tell, whoever displays listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """One thing that happened in a task run.

    Attributes:
        name: the task run's name, for example `crops (train)` or `fold 2`.
        state: Prefect's state name (`Running`, `Completed`, `Cached`, `Failed`), or None for a
            step within the run.
        done, total: steps, where they are counted.
        facts: what else there is to say, for example epoch, loss and score.
    """

    name: str
    state: str | None = None
    done: int = 0
    total: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Progress], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear all progress told in this process while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(progress: Progress) -> None:
    """Pass progress to whoever listens."""
    for listener in _listeners:
        listener(progress)


def tell_steps(name: str) -> Callable[[int, int], None]:
    """A callback for library functions that count `done` and `total`."""
    return lambda done, total: tell(Progress(name, done=done, total=total))


def tell_line(name: str) -> Callable[[dict[str, Any]], None]:
    """A callback for child processes that report lines."""
    return lambda line: tell(Progress(name, facts=line))


def tell_state(task: Any, task_run: Any, state: Any) -> None:  # noqa: ARG001 (a Prefect hook)
    """A task hook: the run's new state."""
    tell(Progress(task_run.name, state=state.name))
