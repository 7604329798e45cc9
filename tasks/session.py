"""Sessions: a run that is worked on, which keeps its folder and its home to itself meanwhile."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from lsdc.store.home import build_lock, remove_leftovers
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment
from tasks.open_flow_run import note_request, open_requested
from tasks.request import RunRequest
from tasks.run import Run

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.run")

_held: ContextVar[Run | None] = ContextVar("held", default=None)


@contextmanager
def hold(run: R, *, wait: bool = True, say: Callable[[str], None] = log.warning) -> Iterator[R]:
    """Keep a run's folder and its home; flows that this process calls meanwhile take the run as is.

    Args:
        run: as it was opened.
        wait: for other runs, if they have the folder or the home.
        say: told whom it waits for.

    Yields:
        The run in its folder.
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


@contextmanager
def opened(kind: type[R], request: RunRequest, *, wait: bool = True) -> Iterator[R]:
    """The run that a flow run is asked for, in its folder; how far it is, is shown.

    Args:
        kind: the class of the challenge's runs.
        request: the flow run's parameters.
        wait: for a run of other settings, if one has the folder.

    Raises:
        SettingsError: what `open_requested` refuses, or a GPU that is not here.
    """
    held = _held.get()
    if isinstance(held, kind):
        note_request(held)
        with shown(held):
            yield held
        return
    run = open_requested(kind, request)
    require_device_here(run)
    with shown(run), locked_experiment(run, wait=wait) as found:
        yield found


@contextmanager
def locked_home(run: Run) -> Iterator[None]:
    """Hold the run's home while it is built in; a second run waits for the first.

    What killed runs left half-written is removed first.
    """
    if _held.get() is run:
        yield
        return
    with build_lock(run.home, wait=True, say=log.warning):
        remove_leftovers(run.home)
        yield
