"""Prefect's runs: the present flow run, queries for runs, and the results of task runs."""

import threading
from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType, TaskRun
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

R = TypeVar("R")

UNFINISHED = (StateType.PENDING, StateType.RUNNING, StateType.SCHEDULED)
_SECONDS = 0.5


def this_flow_run() -> FlowRun | None:
    """Return the flow run that this code is part of; None outside of flow runs."""
    context = FlowRunContext.get()
    return None if context is None else context.flow_run


def with_ids(ids: Iterable[UUID]) -> filters.FlowRunFilter:
    """Return a filter for the flow runs with these ids."""
    return filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=list(ids)))


def in_states(states: Iterable[StateType]) -> filters.FlowRunFilter:
    """Return a filter for the flow runs in any of these states."""
    types = filters.FlowRunFilterStateType(any_=list(states))
    return filters.FlowRunFilter(state=filters.FlowRunFilterState(type=types))


def task_runs_of(
    client: SyncPrefectClient, flow_run_id: UUID, states: Iterable[StateType]
) -> list[TaskRun]:
    """Return the task runs of a flow run that are in any of these states."""
    types = filters.TaskRunFilterStateType(any_=list(states))
    return client.read_task_runs(
        flow_run_filter=with_ids([flow_run_id]),
        task_run_filter=filters.TaskRunFilter(state=filters.TaskRunFilterState(type=types)),
    )


def result_of(future: PrefectFuture[R]) -> R:
    """Wait for a submitted task and return its result; Ctrl-C interrupts the wait.

    With the SIGINT handler that polars installs, a wait without a timeout would not end on Ctrl-C.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    while not done.wait(_SECONDS):
        pass
    return future.result()
