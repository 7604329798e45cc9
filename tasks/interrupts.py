"""Interrupts: a run that receives a signal ends as *Cancelled*, with a reason, not as *Crashed*."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled

from lsdc.errors import GOES_ON
from lsdc.run_context import own_run_context, run_context
from lsdc.training.process import end_children
from tasks.prefect_runs import UNFINISHED, task_runs_of, this_flow_run
from tasks.progress import Progress, report_progress

# The message of such a run starts with this; a run that was cancelled by hand has another one.
INTERRUPTED = "interrupted by"
# Time for task runs in threads to notice the shutdown, and for reports to the server.
_MAX_SECONDS = 10.0
# Delay until the server knows of a task run that has just begun or ended.
_DELAY_SECONDS = 2.0
_POLL_SECONDS = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BROKEN = (StateType.CRASHED, StateType.FAILED)

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("lsdc.run")


def cancelled_when_interrupted(body: Callable[P, R]) -> Callable[P, R]:
    """Mark a flow run ended by Ctrl-C or SIGTERM as *Cancelled*, with a message.

    A run that was cancelled in Prefect is left in *Cancelling*: its worker marks it as *Cancelled*
    once this process has ended. If this process also did, a Retry in between would be lost.
    """

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with own_run_context():
            try:
                return body(*args, **kwargs)
            except (KeyboardInterrupt, TerminationSignal) as interrupt:
                state = _cancel(interrupt)
                if state is None:
                    raise
                return cast(R, state)  # Prefect uses a returned state as the flow run's state

    return run


@contextmanager
def ended_with_the_flow() -> Iterator[None]:
    """End the folds' child processes, and all waiting, after an error or interrupt in the block."""
    try:
        yield
    except BaseException:
        run_context().request_shutdown()
        end_children()
        raise


def is_interrupted(state: State) -> bool:
    """Return whether a run was cancelled because its process was interrupted, not by hand."""
    return state.is_cancelled() and (state.message or "").startswith(INTERRUPTED)


def _cancel(interrupt: BaseException) -> State | None:
    """Stop the run, and return its state, or None if its worker will set the state."""
    run_context().request_shutdown()
    me = this_flow_run()
    assert me is not None
    with _signals_ignored(), get_client(sync_client=True) as client:
        by_hand = _is_cancelling(client, me)
        reason = "cancelled in Prefect; Retry resumes it" if by_hand else _reason(me, interrupt)
        log.info(reason)
        try:
            _cancel_task_runs(client, me.id, reason)
        except httpx.HTTPError as error:
            log.warning("cannot mark task runs as cancelled on the Prefect server: %s", error)
    is_marked_by_worker = by_hand and isinstance(interrupt, TerminationSignal)
    return None if is_marked_by_worker else Cancelled(message=reason)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore a second Ctrl-C while the first is reported to the server."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():  # None: a handler not installed by Python
            signal.signal(each, handler or signal.default_int_handler)


def _is_cancelling(client: SyncPrefectClient, me: FlowRun) -> bool:
    """Return whether somebody cancelled the run in Prefect."""
    if me.deployment_id is None:
        return False
    try:
        state = client.read_flow_run(me.id).state
    except httpx.HTTPError:  # then the state is unknown
        return False
    return state is not None and state.is_cancelling()


def _reason(me: FlowRun, interrupt: BaseException) -> str:
    if me.deployment_id is None:
        how = "Ctrl-C" if isinstance(interrupt, KeyboardInterrupt) else "SIGTERM"
        return f"{INTERRUPTED} {how}; {GOES_ON}"
    return f"{INTERRUPTED} the end of its worker; Retry resumes it"


def _cancel_task_runs(client: SyncPrefectClient, flow_run_id: UUID, reason: str) -> None:
    """Mark task runs that did not complete as cancelled.

    Repeated for a while, because the server knows of the last ones only after a delay.
    """
    begun = quiet_since = time.monotonic()
    are_marked = False
    while (now := time.monotonic()) < begun + _MAX_SECONDS:
        broken = task_runs_of(client, flow_run_id, _BROKEN)
        unfinished = task_runs_of(client, flow_run_id, UNFINISHED)
        if broken or unfinished:
            quiet_since = now
        elif are_marked or now >= quiet_since + _DELAY_SECONDS:
            return
        _mark(client, broken, reason)
        are_marked |= bool(broken)
        time.sleep(_POLL_SECONDS)
    _mark(client, task_runs_of(client, flow_run_id, UNFINISHED), reason)


def _mark(client: SyncPrefectClient, runs: Iterable[TaskRun], reason: str) -> None:
    for run in runs:
        client.set_task_run_state(run.id, Cancelled(message=reason), force=True)
        report_progress(Progress(run.name, state="Cancelled"))
