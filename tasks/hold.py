"""Hold a run's folder and home before its flow begins, without importing Prefect."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from lsdc.store.home import build_lock, remove_leftovers
from tasks.identity import locked_experiment
from tasks.run import Run

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.run")

_held: ContextVar[Run | None] = ContextVar("held", default=None)


@contextmanager
def hold(run: R, *, wait: bool = True, say: Callable[[str], None] = log.warning) -> Iterator[R]:
    """Hold a run's folder and home; flows called in this process during the block reuse the run.

    Args:
        run: the opened run.
        wait: whether to wait for other runs that hold the folder or the home.
        say: called with a message about what it waits for.

    Yields:
        The run with its folder.
    """
    with (
        locked_experiment(run, wait=wait, say=say) as found,
        build_lock(found.home, wait=wait, say=say),
    ):
        remove_leftovers(found.home)
        token = _held.set(found)
        try:
            yield found
        finally:
            _held.reset(token)


def held_run() -> Run | None:
    """Return the run that this process holds, if any."""
    return _held.get()
