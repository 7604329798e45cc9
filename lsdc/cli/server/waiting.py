"""Explain why a flow run waits: why no worker takes it, and what to do about it."""

import time
from http import HTTPStatus
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus, WorkPool, WorkQueue
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from lsdc.cli.server.network import hide_password
from tasks.prefect_runs import in_states

# By then, a free worker has taken the run.
PATIENCE_SECONDS = 10.0
_NAMED = 3


class Waits:
    """Reports of why runs wait, each reason once."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self.client = client
        self.due: dict[UUID, float] = {}
        self.printed: dict[UUID, str] = {}

    def new(self, run: FlowRun) -> str | None:
        """Return why a run waits, if it has waited for a while and the reason is new."""
        if run.deployment_id is None or run.state is None or not run.state.is_scheduled():
            self.due.pop(run.id, None)
            self.printed.pop(run.id, None)
            return None
        now = time.monotonic()
        if now < self.due.setdefault(run.id, now + PATIENCE_SECONDS):
            return None
        self.due[run.id] = now + PATIENCE_SECONDS
        reason = why_waiting(self.client, run)
        if reason == self.printed.get(run.id):
            return None
        self.printed[run.id] = reason
        return reason


def why_waiting(client: SyncPrefectClient, run: FlowRun) -> str:
    """Return why no worker takes a due run, and what to do about it."""
    assert run.state is not None
    if run.state.name == "AwaitingConcurrencySlot":
        return (
            "the concurrency limit of its deployment is reached; wait until a run ends, or raise "
            "the limit in Prefect"
        )
    pool_name = run.work_pool_name
    pool = None if pool_name is None else _read_pool(client, pool_name)
    if pool_name is None or pool is None:
        return "the server does not have the work pool of its deployment; 'lsdc up' creates it"
    queue = _read_queue(client, pool_name, run.work_queue_name or "default")
    if queue is None:
        return f"the server has no work queue {run.work_queue_name} in {pool_name}; create it"
    if pool.is_paused:
        return f"work pool {pool_name} is paused; run 'prefect work-pool resume {pool_name}'"
    where = f"work queue {queue.name} of {pool_name}"
    if queue.is_paused:
        return f"{where} is paused; run 'prefect work-queue resume {queue.name} --pool {pool_name}'"
    in_pool, in_queue = _at_work(client, pool_name), _at_work(client, pool_name, queue.name)
    raise_it = "set-concurrency-limit"
    if _is_full(pool.concurrency_limit, in_pool):
        return (
            f"the concurrency limit of {pool_name}, {pool.concurrency_limit}, is reached"
            f"{_runs(' by', in_pool)}; wait, or run 'prefect work-pool {raise_it} {pool_name} N'"
        )
    if _is_full(queue.concurrency_limit, in_queue):
        return (
            f"the concurrency limit of {where}, {queue.concurrency_limit}, is reached"
            f"{_runs(' by', in_queue)}; wait, or run 'prefect work-queue {raise_it} {queue.name} N "
            f"--pool {pool_name}'"
        )
    workers = client.read_workers_for_work_pool(pool_name)
    online = [each for each in workers if each.status == WorkerStatus.ONLINE]
    if not online:
        api = hide_password(str(client.api_url).rstrip("/"))
        return (
            f"no worker of {pool_name} is online; start 'lsdc up', or 'lsdc worker --pool "
            f"{pool_name}' with PREFECT_API_URL set to {api}"
        )
    names = ", ".join(sorted(each.name for each in online)[:_NAMED])
    if in_pool:
        return f"the workers of {pool_name} ({names}) are busy{_runs(' with', in_pool)}"
    return f"no worker of {pool_name} ({names}) has taken it yet; see the output of the workers"


def _read_queue(client: SyncPrefectClient, pool: str, queue: str) -> WorkQueue | None:
    try:
        answer = client.request(
            "GET",
            "/work_pools/{work_pool_name}/queues/{name}",
            path_params={"work_pool_name": pool, "name": queue},
        )
    except PrefectHTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        return None
    return WorkQueue.model_validate(answer.json())


def _read_pool(client: SyncPrefectClient, name: str) -> WorkPool | None:
    try:
        return client.read_work_pool(name)
    except ObjectNotFound:
        return None


def _at_work(client: SyncPrefectClient, pool: str, queue: str | None = None) -> list[str]:
    """Return the names of the active runs of a pool's workers, or of one of its queues."""
    of_queue = queue and filters.WorkQueueFilter(name=filters.WorkQueueFilterName(any_=[queue]))
    states = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    found = client.read_flow_runs(
        flow_run_filter=in_states(states),
        work_pool_filter=filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[pool])),
        work_queue_filter=of_queue or None,
    )
    return sorted(run.name for run in found)


def _is_full(limit: int | None, at_work: list[str]) -> bool:
    return limit is not None and len(at_work) >= limit


def _runs(before: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{before} {', '.join(names[:_NAMED])}{more}"
