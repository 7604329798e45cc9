"""Dispatch: training as runs of deployments of its own, for workers that have a GPU.

A flow run that a worker of another pool executes sends its training there; one that was started by
hand, or that is on the GPU pool itself, trains where it is, since a parent which waits in a pool of
one slot would wait for ever.
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
from lsdc.store.home import lend_lock
from lsdc.store.manifest import Manifest
from tasks.device import require_device
from tasks.interrupts import is_interrupted
from tasks.pools import GPU_POOL
from tasks.run import Run
from tasks.stage import Stage

POLL_SECONDS = 2.0
# A crash is the machine's doing: the run goes on from its checkpoint, on whatever worker there is.
# So often in a row; one that ran so long has got somewhere, as on machines that are taken away, but
# may be what ends them.
CRASHES_FORGIVEN = 3
LONG_ENOUGH = timedelta(minutes=10)
CRASHES_IN_ALL = 20

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.dispatch")


@dataclass(frozen=True)
class Work:
    """What is to be trained elsewhere.

    Attributes:
        deployment: whose run does it, as FLOW/NAME.
        name: what it is called here.
        stage: whose result is wanted.
        inputs: the stage's arguments. A retry finds the run that did the work by name and by the
            result's key: where inputs changed meanwhile, it is other work.
        parameters: what the run is told besides the parameters of its parent.
    """

    deployment: str
    name: str
    stage: Stage[..., Manifest]
    inputs: tuple[Any, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Crashes:
    """How often a run crashed, and how long it had run in all when it last did."""

    in_all: int = 0
    in_a_row: int = 0
    ran: timedelta = timedelta()


def has_other_workers() -> bool:
    """Whether training of this flow run is for workers of the GPU pool."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return False
    me = context.flow_run
    return me.deployment_id is not None and me.work_pool_name != GPU_POOL


def require_device_here(run: Run) -> None:
    """Refuse a GPU that this host has not, before anything is read, unless others train.

    Raises:
        SettingsError: it is not here.
    """
    if not has_other_workers():
        require_device(run.device)


def as_done_here(run: R) -> R:
    """The run as this flow run's own stages are told it.

    The GPU that was asked for is the training's: where others do that, this host may have none.
    """
    elsewhere = run.device == "cuda" and has_other_workers()
    return run.model_copy(update={"device": "auto"}) if elsewhere else run


def train_elsewhere(run: Run, works: Sequence[Work], versions: Mapping[str, str]) -> list[Manifest]:
    """Have each piece of work done by a run of its deployment; their results, in order.

    Called again in a retry of this flow run it finds the runs that it sent before: what is done
    stays done, what goes on is waited for, and what failed is set going again, in place.

    Args:
        run: this one.
        works: what is to be trained.
        versions: of code and libraries, which the workers must have as well.

    Raises:
        StageError: some failed; names them.
    """
    if not works:
        return []
    with (
        get_client(sync_client=True) as client,
        lend_lock(run.home, say=log.warning),  # while it waits for what others make
    ):
        children: list[FlowRun] = []
        try:
            # In order and in the flow's own body: Prefect tells them apart by their number.
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
            f"{work.deployment}: no such deployment on this server, which trains {work.name}; "
            "'lsdc up' makes it"
        ) from None
    known = (deployment.parameter_openapi_schema or {}).get("properties", {})
    told = {name: value for name, value in (context.parameters or {}).items() if name in known}
    # What was resolved and installed when this run began is what the others work with.
    same = {"data": run.data_word, "resolved": run.resolved, "versions": dict(versions)}
    child = run_deployment(
        deployment.id,
        parameters=told | same | dict(work.parameters),
        flow_run_name=f"train-{work.name.replace(' ', '-')}-{run.experiment.name}",
        timeout=0,
        idempotency_key=f"{_me().id}:{work.name}:{work.stage.key(*work.inputs)}",
    )
    return cast(FlowRun, child)  # a coroutine to those alone who call it from one


def _wait(
    client: SyncPrefectClient, works: Sequence[Work], children: Sequence[FlowRun]
) -> list[State]:
    """The states in which the runs ended, once all have.

    One that failed and is set going by hand while others go on is waited for as well.
    """
    names = {child.id: work.name for work, child in zip(works, children, strict=True)}
    # What an earlier attempt of this flow run left behind, a cancellation under way included.
    left = {each.id for each in _read(client, children) if _is_lost(each) or _is_leaving(each)}
    crashes: dict[UUID, Crashes] = {}
    while True:
        try:
            current = _read(client, children)
            lost = [child for child in current if _is_lost(child)]
            again = [child for child in lost if child.id in left or _may_go_on(child, crashes)]
            for child in again:
                log.warning("%s: %s; it is set going again", names[child.id], _state(child).name)
                client.set_flow_run_state(child.id, AwaitingRetry())
                left.discard(child.id)
            states = [_state(child) for child in current]
            if not again and all(state.is_final() for state in states):
                return states
        except httpx.HTTPError as error:
            log.warning("the Prefect server does not answer (%s); asked again", error)
        time.sleep(POLL_SECONDS)


def _read(client: SyncPrefectClient, children: Sequence[FlowRun]) -> list[FlowRun]:
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[child.id for child in children]))
    found = {child.id: child for child in client.read_flow_runs(flow_run_filter=wanted)}
    if deleted := [child.name for child in children if child.id not in found]:
        raise StageError(
            f"{', '.join(deleted)}: deleted in Prefect; Retry of this run sends it anew"
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
    """Whether a run that crashed, or whose worker left, is to be set going again.

    Counts how often it crashed.
    """
    if is_interrupted(_state(run)):  # its worker ended, as machines do that are taken away
        return True
    if not _state(run).is_crashed():
        return False
    before = crashes.get(run.id, Crashes())
    in_a_row = 0 if run.total_run_time - before.ran >= LONG_ENOUGH else before.in_a_row
    crashes[run.id] = Crashes(before.in_all + 1, in_a_row + 1, run.total_run_time)
    return in_a_row < CRASHES_FORGIVEN and before.in_all < CRASHES_IN_ALL


def _cancel_if_cancelled(client: SyncPrefectClient, children: Sequence[FlowRun]) -> None:
    """Pass a cancellation on; a flow run that merely dies leaves its children at work."""
    with contextlib.suppress(httpx.HTTPError):  # what we are left for is not to be hidden
        if not _is_leaving(client.read_flow_run(_me().id)):
            return
        for child in _read(client, children):
            if _state(child).is_scheduled():  # no worker has it, which would make an end of it
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
            f"{len(failed)} of {len(works)} on {GPU_POOL} did not end well: {'; '.join(failed)}; "
            "Retry of this run sets these alone going again, folds from their checkpoints"
        )


def _result(run: Run, work: Work) -> Manifest:
    if found := work.stage.find(*work.inputs):
        return found
    raise StageError(
        f"{work.name}: trained on {GPU_POOL}, but {run.root} does not hold what its run left; its "
        "worker has to build in this home, on storage that both see, or both have to share a store "
        "(--store); if it was removed since, or a training of other settings took its place, "
        "trigger a new run"
    )
