"""Interrupts: a run that is told to end is cancelled, and says by whom; it has not crashed."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled

from lsdc.errors import GOES_ON
from lsdc.shutdown import request_shutdown
from lsdc.training.process import end_children
from tasks.progress import Progress, tell

# What such a run's message begins with, by which others know that nobody cancelled it by hand.
INTERRUPTED = "interrupted by"
# Task runs in threads see that they are to end, and the server hears of it, within so long.
_SECONDS = 10.0
_POLL_SECONDS = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_UNDER_WAY = (StateType.PENDING, StateType.RUNNING, StateType.SCHEDULED)

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("lsdc.run")


def cancelled_when_interrupted(body: Callable[P, R]) -> Callable[P, R]:
    """Have a flow's run that is told to end, by Ctrl-C or SIGTERM, be *Cancelled*, with a word."""

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except (KeyboardInterrupt, TerminationSignal) as told:
            return cast(R, _cancel(told))  # Prefect takes a state that a flow returns as its own

    return run


@contextmanager
def ended_with_the_flow() -> Iterator[None]:
    """End the folds' processes and waits if an error leaves the block, an interrupt included."""
    try:
        yield
    except BaseException:
        request_shutdown()
        end_children()
        raise


def is_interrupted(state: State) -> bool:
    """Whether a run was cancelled by the end of its process, not by somebody."""
    return state.is_cancelled() and (state.message or "").startswith(INTERRUPTED)


def _cancel(told: BaseException) -> State:
    request_shutdown()
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    with _not_interrupted_again(), get_client(sync_client=True) as client:
        words = _words(client, context.flow_run, told)
        log.info(words)
        try:
            _cancel_task_runs(client, context.flow_run.id, words)
        except httpx.HTTPError as error:
            log.warning("the Prefect server does not hear that its tasks are cancelled: %s", error)
    return Cancelled(message=words)


@contextmanager
def _not_interrupted_again() -> Iterator[None]:
    """Let a second Ctrl-C not keep the server from hearing of the first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():  # None stands for one that is not Python's
            signal.signal(each, handler or signal.default_int_handler)


def _words(client: SyncPrefectClient, me: FlowRun, told: BaseException) -> str:
    if me.deployment_id is None:
        how = "Ctrl-C" if isinstance(told, KeyboardInterrupt) else "SIGTERM"
        return f"{INTERRUPTED} {how}; {GOES_ON}"
    try:
        state = client.read_flow_run(me.id).state
    except httpx.HTTPError:  # it will say what it knows
        state = None
    if state is not None and state.is_cancelling():
        return "cancelled in Prefect; Retry goes on where it stopped"
    return f"{INTERRUPTED} the end of its worker; Retry goes on where it stopped"


def _cancel_task_runs(client: SyncPrefectClient, flow_run_id: UUID, words: str) -> None:
    """Mark those that did not come to their end, as the server hears of it, behind our back."""
    until, are_marked = time.monotonic() + _SECONDS, False
    while time.monotonic() < until:
        broken = _task_runs(client, flow_run_id, StateType.CRASHED, StateType.FAILED)
        under_way = _task_runs(client, flow_run_id, *_UNDER_WAY)
        if are_marked and not broken and not under_way:
            return
        _mark(client, broken, words)
        are_marked |= bool(broken)
        time.sleep(_POLL_SECONDS)
    _mark(client, _task_runs(client, flow_run_id, *_UNDER_WAY), words)


def _mark(client: SyncPrefectClient, runs: Iterable[TaskRun], words: str) -> None:
    for run in runs:
        client.set_task_run_state(run.id, Cancelled(message=words), force=True)
        tell(Progress(run.name, state="Cancelled"))


def _task_runs(client: SyncPrefectClient, flow_run_id: UUID, *states: StateType) -> list[TaskRun]:
    wanted: dict[str, Any] = {
        "flow_run_filter": FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
        "task_run_filter": TaskRunFilter(
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(states)))
        ),
    }
    return client.read_task_runs(**wanted)
