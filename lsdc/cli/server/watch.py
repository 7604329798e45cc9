"""Follow a flow run and its child runs: print log records and state changes as they come."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, Log, State
from prefect.client.schemas.sorting import LogSort
from rich.console import Console

from lsdc.cli.server.waiting import Waits
from lsdc.errors import InterruptedRunError, StageError
from tasks.prefect_runs import with_ids

_POLL_SECONDS = 1.0
_PAGE = 200
_INFO = 20
# Several processes send records in batches, so they arrive out of order.
_LATE = timedelta(seconds=30)
# Prefect's messages about its own machinery.
_NOISE = (
    "Running hook",
    "Hook ",
    "Downloading flow code",
    "Timeout of ",
    "Engine execution exited",
)


def follow(client: SyncPrefectClient, run: FlowRun, console: Console) -> int:
    """Print the logs and states of a run and its children until it ends.

    Returns:
        The exit code: 0 completed, 130 cancelled, 1 otherwise.

    Raises:
        StageError: the run was deleted.
    """
    logs, states, waits = _Logs(client), dict[UUID, str](), Waits(client)
    while True:
        try:
            family = _family(client, run)
            # Queried before the logs, so that the logs of an ended run are complete.
            for line in [*_changes(family, states), *logs.new(family), *_waits(family, waits)]:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        except httpx.HTTPError as error:
            console.print(f"the server does not answer ({error}); trying again", style="yellow")
        else:
            state = family[0].state
            if state is not None and state.is_final():
                return _exit_code(state)
        time.sleep(_POLL_SECONDS)


def _exit_code(state: State) -> int:
    if state.is_completed():
        return 0
    return InterruptedRunError.exit_code if state.is_cancelled() else StageError.exit_code


def _family(client: SyncPrefectClient, run: FlowRun) -> list[FlowRun]:
    """Return the current state of the run, then of its children."""
    found = client.read_flow_runs(flow_run_filter=with_ids([run.id]))
    if not found:
        raise StageError(f"{run.name}: the run was deleted in Prefect; trigger a new run")
    (now,) = found
    of_run = filters.FlowRunFilterParentFlowRunId(any_=[run.id])
    children = client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(parent_flow_run_id=of_run)
    )
    return [now, *sorted(children, key=lambda child: child.name)]


def _changes(family: Sequence[FlowRun], states: dict[UUID, str]) -> Iterator[str]:
    for run in family:
        state = (run.state and run.state.name) or "Unknown"
        if states.get(run.id) != state:
            states[run.id] = state
            yield f"{run.name}: {state}{_reason(run.state)}"


def _waits(family: Sequence[FlowRun], waits: Waits) -> Iterator[str]:
    for run in family:
        if reason := waits.new(run):
            yield f"{run.name}: waiting: {reason}"


def _reason(state: State | None) -> str:
    """Return why a run ended; its last log records may come late or, after a crash, never."""
    if state is None or not state.is_final() or state.is_completed() or not state.message:
        return ""
    return f" ({state.message.splitlines()[0]})"


class _Logs:
    """The log records of runs, each returned once."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self.client = client
        self.seen: set[UUID] = set()
        self.latest: datetime | None = None

    def new(self, family: Sequence[FlowRun]) -> list[str]:
        """Return lines for the records since the last call, by time."""
        wanted = filters.LogFilter(
            flow_run_id=filters.LogFilterFlowRunId(any_=[run.id for run in family]),
            level=filters.LogFilterLevel(ge_=_INFO),
            timestamp=filters.LogFilterTimestamp(after_=self.latest and self.latest - _LATE),
        )
        found: list[Log] = []
        while page := self.client.read_logs(
            wanted, limit=_PAGE, offset=len(found), sort=LogSort.TIMESTAMP_ASC
        ):
            found += page
        fresh = [log for log in found if log.id not in self.seen]
        if not fresh:
            return []
        self.seen |= {log.id for log in fresh}
        self.latest = found[-1].timestamp
        names = {run.id: run.name for run in family} | self._task_names(fresh)
        return [_line(log, names) for log in fresh if not log.message.startswith(_NOISE)]

    def _task_names(self, logs: Sequence[Log]) -> dict[UUID, str]:
        ids = list({log.task_run_id for log in logs if log.task_run_id is not None})
        wanted = filters.TaskRunFilter(id=filters.TaskRunFilterId(any_=ids))
        found = self.client.read_task_runs(task_run_filter=wanted) if ids else []
        return {run.id: run.name for run in found}


def _line(log: Log, names: Mapping[UUID, str]) -> str:
    """Format a record's first line; any traceback below it is shown in Prefect's pages."""
    runs = (log.flow_run_id, log.task_run_id)
    who = [names[each] for each in runs if each is not None and each in names]
    return f"{log.timestamp.astimezone():%H:%M:%S} {', '.join(who)}: {log.message.splitlines()[0]}"
