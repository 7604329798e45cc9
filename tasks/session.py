"""Sessions: open a run, lock its folder and its home, and show its progress."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from lsdc.names import as_name
from lsdc.store.home import build_lock, remove_leftovers
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.hold import held_run
from tasks.identity import locked_experiment
from tasks.open_flow_run import note_request, open_requested
from tasks.prefect_runs import this_flow_run
from tasks.progress import listening
from tasks.request import RunRequest
from tasks.run import Run
from tasks.status.attempts import CHILD, flow_logs
from tasks.status.log import run_log
from tasks.status.work import working

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.run")


@contextmanager
def opened(kind: type[R], request: RunRequest, *, wait: bool = True) -> Iterator[R]:
    """Open the run that a flow run requests and yield it with its folder; show its progress.

    Prefect, `lsdc status` and a log in the home show it; for `lsdc run-local`, the command does.

    Args:
        kind: the class of the challenge's runs.
        request: the flow run's parameters.
        wait: whether to wait while a run with other settings holds the lock of the folder.

    Raises:
        SettingsError: the request is invalid (see `open_requested`), or this host has no such GPU.
    """
    held = held_run()
    if isinstance(held, kind):
        note_request(held)
        with shown(held):
            yield held
        return
    said: list[str] = []
    run = open_requested(kind, request, said.append)
    require_device_here(run)
    me = this_flow_run()
    name = "flow" if me is None else me.name
    prefix = CHILD if me is not None and me.parent_task_run_id else "flow run "
    with (
        shown(run),
        locked_experiment(run, wait=wait) as found,
        working(found.home, found.name) as work,
        listening(work),
        run_log(
            flow_logs(found.home, found.name) / f"{as_name(name)}.log",
            None,
            call=f"{prefix}{name}",
            rows=work.rows,
        ),
    ):
        for line in said:  # now that there is a log
            log.info(line)
        yield found


@contextmanager
def locked_home(run: Run, *, timeout: float | None = None) -> Iterator[None]:
    """Lock the run's home; a second run waits for the first.

    Partial files of killed runs are removed once it is locked.

    Args:
        run: the run.
        timeout: how many seconds to wait; by default without limit.

    Raises:
        HomeBusyError: another run still holds the lock after `timeout` seconds.
    """
    if held_run() is run:
        yield
        return
    with build_lock(run.home, wait=True, say=log.warning, timeout=timeout):
        remove_leftovers(run.home)
        yield
