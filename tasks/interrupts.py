"""Interrupts: a run that receives a signal ends as *Cancelled* and says why, not as *Crashed*."""

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
from lsdc.run_context import own_run_context, run_context
from lsdc.training.process import end_children
from tasks.progress import Progress, tell

# The start of such a run's message, which shows that nobody cancelled it by hand.
INTERRUPTED = "interrupted by"
# Time for task runs in threads to notice the shutdown, and for reports to the server.
_SECONDS = 10.0
# Time for the server to hear of a task run that has just begun or ended.
_LATE_SECONDS = 2.0
_POLL_SECONDS = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_UNDER_WAY = (StateType.PENDING, StateType.RUNNING, StateType.SCHEDULED)

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("lsdc.run")


def cancelled_when_interrupted(body: Callable[P, R]) -> Callable[P, R]:
    """Mark a flow run ended by Ctrl-C or SIGTERM as *Cancelled*, with a message.

    A run that was cancelled in Prefect is left in *Cancelling*: its worker marks it as *Cancelled*
    once this process has ended. If the run did so too, a Retry in between would be lost.
    """

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with own_run_context():
            try:
                return body(*args, **kwargs)
            except (KeyboardInterrupt, TerminationSignal) as told:
                state = _cancel(told)
                if state is None:
                    raise
                return cast(R, state)  # Prefect uses a returned state as the flow run's state

    return run


@contextmanager
def ended_with_the_flow() -> Iterator[None]:
    """End the folds' processes and waits if an error or an interrupt leaves the block."""
    try:
        yield
    except BaseException:
        run_context().request_shutdown()
        end_children()
        raise


def is_interrupted(state: State) -> bool:
    """Return whether a run was cancelled by the end of its process, not by a person."""
    return state.is_cancelled() and (state.message or "").startswith(INTERRUPTED)


def _cancel(told: BaseException) -> State | None:
    """Stop the run's work and return its state, or None if its worker marks it."""
    run_context().request_shutdown()
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    me = context.flow_run
    with _not_interrupted_again(), get_client(sync_client=True) as client:
        by_hand = _is_cancelling(client, me)
        words = "cancelled in Prefect; Retry resumes it" if by_hand else _words(me, told)
        log.info(words)
        try:
            _cancel_task_runs(client, me.id, words)
        except httpx.HTTPError as error:
            log.warning("cannot mark task runs as cancelled on the Prefect server: %s", error)
    is_marked_by_worker = by_hand and isinstance(told, TerminationSignal)
    return None if is_marked_by_worker else Cancelled(message=words)


@contextmanager
def _not_interrupted_again() -> Iterator[None]:
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


def _words(me: FlowRun, told: BaseException) -> str:
    if me.deployment_id is None:
        how = "Ctrl-C" if isinstance(told, KeyboardInterrupt) else "SIGTERM"
        return f"{INTERRUPTED} {how}; {GOES_ON}"
    return f"{INTERRUPTED} the end of its worker; Retry resumes it"


def _cancel_task_runs(client: SyncPrefectClient, flow_run_id: UUID, words: str) -> None:
    """Mark task runs that did not complete as cancelled, as the server learns of them late."""
    begun = quiet_since = time.monotonic()
    are_marked = False
    while (now := time.monotonic()) < begun + _SECONDS:
        broken = _task_runs(client, flow_run_id, StateType.CRASHED, StateType.FAILED)
        under_way = _task_runs(client, flow_run_id, *_UNDER_WAY)
        if broken or under_way:
            quiet_since = now
        elif are_marked or now >= quiet_since + _LATE_SECONDS:
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
