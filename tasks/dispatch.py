"""Dispatch: training as separate deployment runs, for workers that have a GPU.

A flow run that a worker of another pool executes sends its training there. One that was started by
hand, or that is on the GPU pool itself, trains in place: a parent waiting in a pool with one slot
would wait forever.
"""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Cancelling

from lsdc.errors import StageError
from lsdc.messages import counted
from lsdc.store.home import lend_lock
from lsdc.store.manifest import Manifest
from tasks.device import require_device
from tasks.interrupts import is_interrupted
from tasks.pools import GPU_POOL
from tasks.run import Run
from tasks.stage import Stage

POLL_SECONDS = 2.0
# A crash is blamed on the machine: the run resumes from its checkpoint on any worker, up to this
# many times in a row. A run that lasted this long has made progress, as on preemptible machines,
# but may itself be what ends them.
CRASHES_FORGIVEN = 3
LONG_ENOUGH = timedelta(minutes=10)
CRASHES_IN_ALL = 20

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.dispatch")


@dataclass(frozen=True)
class Work:
    """Training to be sent to another worker.

    Attributes:
        deployment: the deployment whose run does the training, as FLOW/NAME.
        name: the name of the training in this run.
        stage: the stage whose result is needed.
        inputs: the stage's arguments. A retry finds the run that did the work by name and by the
            result's key, so changed inputs make it different work.
        parameters: the run's parameters in addition to those of its parent.
    """

    deployment: str
    name: str
    stage: Stage[..., Manifest]
    inputs: tuple[Any, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Crashes:
    """The number of a run's crashes, and its total run time at the last one."""

    in_all: int = 0
    in_a_row: int = 0
    ran: timedelta = timedelta()


def has_other_workers() -> bool:
    """Return whether this flow run's training goes to workers of the GPU pool."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return False
    me = context.flow_run
    return me.deployment_id is not None and me.work_pool_name != GPU_POOL


def require_device_here(run: Run) -> None:
    """Refuse a GPU that this host does not have before reading data, unless other workers train.

    Raises:
        SettingsError: the host does not have it.
    """
    if not has_other_workers():
        require_device(run.device)


def as_done_here(run: R) -> R:
    """Return the run as this flow run's own stages see it.

    The requested GPU is for training: if other workers train, this host may have none.
    """
    elsewhere = run.device == "cuda" and has_other_workers()
    return run.model_copy(update={"device": "auto"}) if elsewhere else run


def train_elsewhere(run: Run, works: Sequence[Work], versions: Mapping[str, str]) -> list[Manifest]:
    """Do each piece of work in a run of its deployment; return the results in order.

    In a retry of this flow run it finds the runs that it sent before: finished ones are kept,
    unfinished ones are waited for, and failed ones are retried in place.

    Args:
        run: the current run.
        works: the trainings to do.
        versions: the versions of code and libraries, which the workers must have as well.

    Raises:
        StageError: some trainings failed; the message names them.
    """
    if not works:
        return []
    with (
        get_client(sync_client=True) as client,
        lend_lock(run.home, say=log.warning),  # while it waits for other workers
    ):
        children: list[FlowRun] = []
        try:
            # In order and in the flow's own body: Prefect identifies them by their number.
            for work in works:
                children.append(_send(client, run, work, versions))  # noqa: PERF401 (one may fail when some are sent)
            ended = _wait(client, works, children)
        except BaseException:
            _cancel_if_cancelled(client, children)
            raise
        _require_completed(works, ended)
    return [_result(run, work) for work in works]


def _me() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def _send(client: SyncPrefectClient, run: Run, work: Work, versions: Mapping[str, str]) -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    try:
        deployment = client.read_deployment_by_name(work.deployment)
    except ObjectNotFound:
        raise StageError(
            f"{work.deployment}: no such deployment on this server, needed to train {work.name}; "
            "'lsdc up' creates it"
        ) from None
    known = (deployment.parameter_openapi_schema or {}).get("properties", {})
    told = {name: value for name, value in (context.parameters or {}).items() if name in known}
    # The workers use what was resolved and installed when this run started.
    same = {"data": run.data_word, "resolved": run.resolved, "versions": dict(versions)}
    child = run_deployment(
        deployment.id,
        parameters=told | same | dict(work.parameters),
        flow_run_name=f"train-{work.name.replace(' ', '-')}-{run.experiment.name}",
        timeout=0,
        idempotency_key=f"{_me().id}:{work.name}:{work.stage.key(*work.inputs)}",
    )
    return cast(FlowRun, child)  # a coroutine only for callers in a coroutine


def _wait(
    client: SyncPrefectClient, works: Sequence[Work], children: Sequence[FlowRun]
) -> list[State]:
    """Wait for all runs and return their final states.

    A failed run that is retried by hand while others are running is waited for as well.
    """
    names = {child.id: work.name for work, child in zip(works, children, strict=True)}
    # Runs left by an earlier attempt of this flow run, including ones being cancelled.
    left = {each.id for each in _read(client, children) if _is_lost(each) or _is_leaving(each)}
    crashes: dict[UUID, Crashes] = {}
    while True:
        try:
            current = _read(client, children)
            lost = [child for child in current if _is_lost(child)]
            again = [child for child in lost if child.id in left or _may_go_on(child, crashes)]
            for child in again:
                log.warning("%s: %s; scheduled again", names[child.id], _state(child).name)
                client.set_flow_run_state(child.id, AwaitingRetry())
                left.discard(child.id)
            states = [_state(child) for child in current]
            if not again and all(state.is_final() for state in states):
                return states
        except httpx.HTTPError as error:
            log.warning("the Prefect server does not answer (%s); trying again", error)
        time.sleep(POLL_SECONDS)


def _read(client: SyncPrefectClient, children: Sequence[FlowRun]) -> list[FlowRun]:
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[child.id for child in children]))
    found = {child.id: child for child in client.read_flow_runs(flow_run_filter=wanted)}
    if deleted := [child.name for child in children if child.id not in found]:
        raise StageError(
            f"{', '.join(deleted)}: deleted in Prefect; Retry of this run starts it again"
        )
    return [found[child.id] for child in children]


def _state(run: FlowRun) -> State:
    assert run.state is not None
    return run.state


def _is_lost(run: FlowRun) -> bool:
    return _state(run).is_final() and not _state(run).is_completed()


def _is_leaving(run: FlowRun) -> bool:
    return _state(run).is_cancelling()


def _may_go_on(run: FlowRun, crashes: dict[UUID, Crashes]) -> bool:
    """Return whether to resume a run that crashed or whose worker left.

    Counts how often it crashed.
    """
    if is_interrupted(_state(run)):  # its worker ended, as on a preempted machine
        return True
    if not _state(run).is_crashed():
        return False
    before = crashes.get(run.id, Crashes())
    in_a_row = 0 if run.total_run_time - before.ran >= LONG_ENOUGH else before.in_a_row
    crashes[run.id] = Crashes(before.in_all + 1, in_a_row + 1, run.total_run_time)
    return in_a_row < CRASHES_FORGIVEN and before.in_all < CRASHES_IN_ALL


def _cancel_if_cancelled(client: SyncPrefectClient, children: Sequence[FlowRun]) -> None:
    """Pass a cancellation on; a flow run that merely dies leaves its children running."""
    with contextlib.suppress(httpx.HTTPError):  # do not hide the error that ends this run
        if not _is_leaving(client.read_flow_run(_me().id)):
            return
        for child in _read(client, children):
            if _state(child).is_scheduled():  # no worker has it, so none would end it
                client.set_flow_run_state(child.id, Cancelled())
            elif not _state(child).is_final():
                client.set_flow_run_state(child.id, Cancelling())


def _require_completed(works: Sequence[Work], ended: Sequence[State]) -> None:
    failed = [
        f"{work.name} ({state.name}: {state.message})"
        for work, state in zip(works, ended, strict=True)
        if not state.is_completed()
    ]
    if failed:
        raise StageError(
            f"{len(failed)} of {counted(len(works), 'training')} on {GPU_POOL} failed: "
            f"{'; '.join(failed)}; Retry of this run resumes only these"
        )


def _result(run: Run, work: Work) -> Manifest:
    if found := work.stage.find(*work.inputs):
        return found
    raise StageError(
        f"{work.name}: trained on {GPU_POOL}, but the result is not in {run.root}; start its "
        "worker with this home, on storage that both machines see, or give both the same store "
        "(--store); if the result was removed since, or replaced by a training with other "
        "settings, trigger a new run"
    )
