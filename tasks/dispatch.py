"""Dispatch: start separate runs of Prefect deployments for training, on workers with a GPU.

A flow run on the CPU pool starts its training as new runs on the GPU pool. A flow run that was
started by hand, or that is itself on the GPU pool, trains in its own process: in a pool with one
slot, a parent that waits for its children would wait forever.
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
from tasks.prefect_runs import this_flow_run, with_ids
from tasks.run import Run
from tasks.stage import Stage

POLL_SECONDS = 2.0
# A crash counts as a fault of the machine: the run resumes from its checkpoint on any worker, at
# most MAX_CRASHES_IN_A_ROW times. If it runs for PROGRESS_TIME without a crash, as on preemptible
# machines, that count starts again. MAX_CRASHES limits the total: the run may crash its machines.
MAX_CRASHES_IN_A_ROW = 3
PROGRESS_TIME = timedelta(minutes=10)
MAX_CRASHES = 20

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.dispatch")


@dataclass(frozen=True)
class TrainingJob:
    """A training for another worker.

    Attributes:
        deployment: the deployment whose run does the training, as FLOW/NAME.
        name: the name of the training in this run.
        stage: the stage whose result is needed.
        inputs: the stage's arguments. After a retry, the run that did this training is found by
            `name` and by the key of the result. If the inputs changed, the key is different and a
            new run is started.
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

    total: int = 0
    in_a_row: int = 0
    run_time: timedelta = timedelta()


def trains_on_gpu_pool() -> bool:
    """Return whether the training of this flow run is sent to the GPU pool."""
    me = this_flow_run()
    return me is not None and me.deployment_id is not None and me.work_pool_name != GPU_POOL


def require_device_here(run: Run) -> None:
    """Refuse to start without the requested GPU, unless the training is sent to the GPU pool.

    Raises:
        SettingsError: this host has no such GPU.
    """
    if not trains_on_gpu_pool():
        require_device(run.device)


def for_own_stages(run: R) -> R:
    """Return the run with the device for the stages of this flow run.

    The requested GPU is for training: if other workers train, this host may have none.
    """
    elsewhere = run.device == "cuda" and trains_on_gpu_pool()
    return run.model_copy(update={"device": "auto"}) if elsewhere else run


def train_on_workers(
    run: Run, jobs: Sequence[TrainingJob], versions: Mapping[str, str]
) -> list[Manifest]:
    """Do each training in a run of its deployment; return the results in order.

    If this flow run is retried, it finds the runs that it started before. It keeps finished runs,
    waits for unfinished ones, and retries failed ones (the same flow run, not a new one).

    Args:
        run: the current run.
        jobs: the trainings to do.
        versions: the versions of code and libraries, which the workers must have, too.

    Raises:
        StageError: some trainings failed; the message names them.
    """
    if not jobs:
        return []
    with (
        get_client(sync_client=True) as client,
        lend_lock(run.home, say=log.warning),  # while it waits for other workers
    ):
        children: list[FlowRun] = []
        try:
            # In order, and not in threads: Prefect identifies child runs by their number.
            for job in jobs:
                # One by one, so that the runs started so far can be cancelled after an interrupt.
                children.append(_start(client, run, job, versions))  # noqa: PERF401
            ended = _wait(client, jobs, children)
        except BaseException:
            _cancel_if_cancelled(client, children)
            raise
        _require_completed(jobs, ended)
    return [_result(run, job) for job in jobs]


def _this_flow_run() -> FlowRun:
    me = this_flow_run()
    assert me is not None
    return me


def _start(
    client: SyncPrefectClient, run: Run, job: TrainingJob, versions: Mapping[str, str]
) -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    try:
        deployment = client.read_deployment_by_name(job.deployment)
    except ObjectNotFound:
        raise StageError(
            f"{job.deployment}: no such deployment on this Prefect server, needed to train "
            f"{job.name}; 'lsdc up' creates it"
        ) from None
    known = (deployment.parameter_openapi_schema or {}).get("properties", {})
    inherited = {name: value for name, value in (context.parameters or {}).items() if name in known}
    # The workers use what was resolved and installed when this run started.
    resolved = {
        "experiment": run.experiment.name,
        "data": run.data_word,
        "resolved": run.resolved,
        "versions": dict(versions),
    }
    child = run_deployment(
        deployment.id,
        parameters=inherited | resolved | dict(job.parameters),
        flow_run_name=f"train-{job.name.replace(' ', '-')}-{run.experiment.name}",
        timeout=0,
        idempotency_key=f"{_this_flow_run().id}:{job.name}:{job.stage.key(*job.inputs)}",
    )
    return cast(FlowRun, child)  # a coroutine only for callers in a coroutine


def _wait(
    client: SyncPrefectClient, jobs: Sequence[TrainingJob], children: Sequence[FlowRun]
) -> list[State]:
    """Wait for all runs and return their final states.

    If a user retries a failed run while others are running, this function waits for it, too.
    """
    names = {child.id: job.name for job, child in zip(jobs, children, strict=True)}
    # Unsuccessful or cancelling runs of an earlier attempt of this flow run; each is retried once.
    earlier = {
        child.id for child in _read(client, children) if _has_failed(child) or _is_cancelling(child)
    }
    crashes: dict[UUID, Crashes] = {}
    while True:
        try:
            current = _read(client, children)
            failed = [child for child in current if _has_failed(child)]
            retried = [
                child for child in failed if child.id in earlier or _should_restart(child, crashes)
            ]
            for child in retried:
                log.warning("%s: %s; it is scheduled again", names[child.id], _state(child).name)
                client.set_flow_run_state(child.id, AwaitingRetry())
                earlier.discard(child.id)
            states = [_state(child) for child in current]
            if not retried and all(state.is_final() for state in states):
                return states
        except httpx.HTTPError as error:
            log.warning("the Prefect server does not answer (%s); trying again", error)
        time.sleep(POLL_SECONDS)


def _read(client: SyncPrefectClient, children: Sequence[FlowRun]) -> list[FlowRun]:
    wanted = with_ids(child.id for child in children)
    found = {child.id: child for child in client.read_flow_runs(flow_run_filter=wanted)}
    if deleted := [child.name for child in children if child.id not in found]:
        raise StageError(
            f"{', '.join(deleted)}: deleted in Prefect; press Retry on this run to start it again"
        )
    return [found[child.id] for child in children]


def _state(run: FlowRun) -> State:
    assert run.state is not None
    return run.state


def _has_failed(run: FlowRun) -> bool:
    """Return whether a run has failed, crashed or been cancelled."""
    return _state(run).is_final() and not _state(run).is_completed()


def _is_cancelling(run: FlowRun) -> bool:
    return _state(run).is_cancelling()


def _should_restart(run: FlowRun, crashes: dict[UUID, Crashes]) -> bool:
    """Return whether to restart a run that crashed or whose worker ended; count its crashes."""
    if is_interrupted(_state(run)):  # its worker ended, as on a preempted machine
        return True
    if not _state(run).is_crashed():
        return False
    before = crashes.get(run.id, Crashes())
    has_progressed = run.total_run_time - before.run_time >= PROGRESS_TIME
    in_a_row = 0 if has_progressed else before.in_a_row
    crashes[run.id] = Crashes(before.total + 1, in_a_row + 1, run.total_run_time)
    return in_a_row < MAX_CRASHES_IN_A_ROW and before.total < MAX_CRASHES


def _cancel_if_cancelled(client: SyncPrefectClient, children: Sequence[FlowRun]) -> None:
    """Cancel the child runs if this flow run is being cancelled.

    If it fails or crashes, its child runs continue.
    """
    with contextlib.suppress(httpx.HTTPError):  # do not hide the error that ends this run
        if not _is_cancelling(client.read_flow_run(_this_flow_run().id)):
            return
        for child in _read(client, children):
            if _state(child).is_scheduled():  # no worker would cancel it
                client.set_flow_run_state(child.id, Cancelled())
            elif not _state(child).is_final():
                client.set_flow_run_state(child.id, Cancelling())


def _require_completed(jobs: Sequence[TrainingJob], ended: Sequence[State]) -> None:
    failed = [
        f"{job.name} ({state.name}: {state.message})"
        for job, state in zip(jobs, ended, strict=True)
        if not state.is_completed()
    ]
    if failed:
        raise StageError(
            f"{len(failed)} of {counted(len(jobs), 'training')} on {GPU_POOL} failed: "
            f"{'; '.join(failed)}; press Retry on this run to restart only these; folds resume "
            "from their checkpoints"
        )


def _result(run: Run, job: TrainingJob) -> Manifest:
    if found := job.stage.find(*job.inputs):
        return found
    raise StageError(
        f"{job.name}: trained on {GPU_POOL}, but the result is not in {run.root}; the worker must "
        "use this home on shared storage, or both machines must use the same --store; if the "
        "result was deleted, or replaced by a training with other settings, trigger a new run"
    )
