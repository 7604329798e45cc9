"""Register the flows as deployments on work pools, with automations that watch their runs.

Deployments name flows by module, not by file: a worker runs them wherever lsdc is installed.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

from prefect import Flow
from prefect.automations import Automation
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import Event
from prefect.events.actions import ActionTypes, ChangeFlowRunState
from prefect.events.clients import get_events_client
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.types.entrypoint import EntrypointType

from deployments.process_worker import LsdcWorker
from flows.pipeline import pipeline
from flows.prepare import prepare
from flows.submit import submit
from flows.train_folds import train_fold, train_folds
from lsdc import __version__
from lsdc.challenges.registry import CHALLENGES
from tasks.pools import CPU_POOL, GPU_POOL, ZOMBIE_SECONDS
from tasks.prefect_runs import in_states

FLOWS: dict[str, tuple[Flow[..., Any], ...]] = {
    CPU_POOL: (pipeline, prepare, train_folds, submit),
    GPU_POOL: (train_fold, *(each for one in CHALLENGES for each in one.steps.GPU_FLOWS)),
}
NAME = "default"
ZOMBIES, UNBEGUN = "Crash zombie runs", "Crash runs that never began"
STARTING = 3  # times the short wait, since a busy machine starts runs slowly
# Custom events for runs that were under way before this server started.
_FOUND_RUNNING, _FOUND_UNBEGUN = "lsdc.flow-run.found-running", "lsdc.flow-run.found-unbegun"
# Marks an automation's action as ours, not one that somebody added or reworded.
_SILENT = "No sign of life"
_PAGE = 200


async def register(zombie_seconds: int = ZOMBIE_SECONDS) -> None:
    """Create or update pools, deployments and the zombie automations.

    Only our own fields are updated, and only when their meaning changed. What a person set in
    Prefect (schedules, pauses, parameters, tags, limits, pool settings) stays.
    """
    for pool, flows in FLOWS.items():
        await _make_pool(pool)
        for each in flows:
            await _make_deployment(each, pool)
    await _watch_for_zombies(zombie_seconds)


async def _make_deployment(flow: Flow[..., Any], pool: str) -> None:
    wanted = await flow.ato_deployment(
        NAME,
        work_pool_name=pool,
        version=__version__,
        tags=["lsdc"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    async with get_client() as client:
        try:
            found = await client.read_deployment_by_name(f"{flow.name}/{NAME}")
        except ObjectNotFound:
            await wanted.aapply()
            return
        ours: dict[str, Any] = {
            "version": wanted.version,
            "entrypoint": wanted.entrypoint,
            "parameter_openapi_schema": flow.parameters.model_dump(exclude_unset=True),
        }
        if found.work_pool_name is None:  # somebody removed it, and it was recreated
            ours["work_pool_name"] = pool
        if ours != found.model_dump(include=set(ours)):
            await client.update_deployment(found.id, DeploymentUpdate(**ours))


async def _make_pool(name: str) -> None:
    pool = WorkPoolCreate(
        name=name,
        type=LsdcWorker.type,
        base_job_template=LsdcWorker.get_default_base_job_template(),
    )
    async with get_client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            await client.create_work_pool(pool)


async def _watch_for_zombies(seconds: int) -> None:
    """Mark a run as crashed when its process and its worker have both gone silent."""
    alive = ("prefect.flow-run.Running", "prefect.flow-run.heartbeat", _FOUND_RUNNING)
    await _crash_after(ZOMBIES, alive, seconds)
    # Their worker took them and may have died before they started.
    states = ("Pending", "Submitting", "InfrastructurePending")
    taken = (*(f"prefect.flow-run.{state}" for state in states), _FOUND_UNBEGUN)
    await _crash_after(UNBEGUN, taken, max(seconds, min(STARTING * seconds, ZOMBIE_SECONDS)))
    await _begin_watch()


async def _crash_after(name: str, signs: Iterable[str], seconds: int) -> None:
    """Mark a run as crashed if no event follows one of these within so many seconds."""
    wanted = Automation(
        name=name,
        description="Marks a run without recent events as crashed, so that it can be resumed.",
        trigger=EventTrigger(
            after=set(signs),
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=seconds),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"{_SILENT} for {seconds} s: process and worker are gone.",
            )
        ],
    )
    try:
        found = await Automation.aread(name=name)
    except ValueError:
        await wanted.acreate()
        return
    (our_action,) = wanted.actions
    merged = found.model_copy(
        update={
            "trigger": wanted.trigger,
            "actions": [our_action if _is_ours(each) else each for each in found.actions],
        }
    )
    if _meaning(found) != _meaning(merged):  # an update makes Prefect forget the runs it watches
        await merged.aupdate()


def _is_ours(action: ActionTypes) -> bool:
    return isinstance(action, ChangeFlowRunState) and (action.message or "").startswith(_SILENT)


def _meaning(automation: Automation) -> dict[str, Any]:
    return automation.model_dump(exclude={"id": True, "trigger": {"id"}})


async def _begin_watch() -> None:
    """Watch the runs that are already under way, since Prefect may have lost track of them.

    Runs that died while no server ran are then marked as crashed; live ones send heartbeats.
    """
    async with get_client() as client, get_events_client() as events:
        found = ((StateType.RUNNING, _FOUND_RUNNING), (StateType.PENDING, _FOUND_UNBEGUN))
        for state, sign in found:
            async for run in _runs_in(client, state):
                resource = {
                    "prefect.resource.id": f"prefect.flow-run.{run.id}",
                    "prefect.resource.name": run.name,
                }
                await events.emit(Event(event=sign, resource=resource))


async def _runs_in(client: PrefectClient, state: StateType) -> AsyncIterator[FlowRun]:
    offset = 0
    while page := await client.read_flow_runs(
        flow_run_filter=in_states([state]), limit=_PAGE, offset=offset, sort=FlowRunSort.ID_DESC
    ):
        for run in page:
            yield run
        offset += len(page)
