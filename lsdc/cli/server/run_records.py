"""Read and complete a Prefect server's records of runs; it records asynchronously.

A killed run of `lsdc run-local` cannot report its end. So each holds a lock in its home, named
by its id, while it lives; whatever next opens the home's history marks runs without a holder as
crashed. A run killed before it took its lock is recognised by its home parameter and its age.
"""

import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from filelock import Timeout

from lsdc.cli.server.connection import authorization
from lsdc.cli.server.network import open_directly
from lsdc.cli.server.prefect_settings import Api
from lsdc.errors import GOES_ON
from lsdc.store.file_locks import file_lock
from lsdc.store.home import Home

_POLL_SECONDS = 0.25
_FINAL = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
_BEGINS_WITHIN = timedelta(minutes=10)  # local runs are *Pending* for a second or so
_KILLED = f"the process was killed; {GOES_ON}"


def wait_until_recorded(api: Api, flow_run_id: str, task_runs: int, *, timeout: float) -> bool:
    """Wait until the server has recorded a flow run's end and that many ended task runs.

    Returns:
        Whether all were recorded before the timeout, in seconds.
    """
    of_this_run = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    ended = {"state": {"type": {"any_": _FINAL}}}
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # a busy server may not answer in time; retry
            flows = _count(api, "flow_runs", {"flow_runs": {**of_this_run["flow_runs"], **ended}})
            tasks = _count(api, "task_runs", {**of_this_run, "task_runs": ended})
            if flows >= 1 and tasks >= task_runs:
                return True
        time.sleep(_POLL_SECONDS)
    return False


def _count(api: Api, what: str, query: dict[str, object]) -> int:
    request = urllib.request.Request(
        f"{api.url}/{what}/count",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json", **authorization(api)},
    )
    with open_directly(request, timeout=10) as answer:
        return int(json.load(answer))


@contextlib.contextmanager
def marked_alive(home: Home, flow_run_id: UUID) -> Iterator[None]:
    """Mark a local run as alive during the block, on this host and others."""
    path = _folder(home) / f"{flow_run_id}.lock"
    path.parent.mkdir(exist_ok=True)
    with file_lock(path, thread_local=False):
        yield
        path.unlink(missing_ok=True)  # kept after an error: the server may not know the end


def mark_killed(home: Home, *, say: Callable[[str], None]) -> None:
    """Mark a home's local runs as crashed if they are recorded as active but their process is gone.

    Only the server in Prefect's settings is updated; runs that it does not know are another's.
    """
    for path in sorted(_folder(home).glob("*.lock")):
        lock = file_lock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:  # the run is alive
            continue
        try:
            name, is_known = _mark_killed(UUID(path.stem))
            if name is not None:
                say(f"{name}: its process was killed; the run is marked as crashed")
            if is_known:
                path.unlink(missing_ok=True)
        finally:
            lock.release()
    for name in _mark_never_begun(home):
        say(f"{name}: its process was killed at the start; the run is marked as crashed")


def _folder(home: Home) -> Path:
    return home.prefect / "local-runs"


def _mark_killed(flow_run_id: UUID) -> tuple[str | None, bool]:
    """Mark the run as crashed; return its name if active, and whether the server knows it."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    from tasks.prefect_runs import UNFINISHED, task_runs_of

    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            return None, False
        if run.state is not None and run.state.is_final():
            return None, True
        for task_run in task_runs_of(client, flow_run_id, UNFINISHED):
            client.set_task_run_state(task_run.id, Crashed(message=_KILLED), force=True)
        client.set_flow_run_state(flow_run_id, Crashed(message=_KILLED), force=True)
        return run.name, True


def _mark_never_begun(home: Home) -> list[str]:
    """Mark the home's local runs killed before they took their lock; return their names."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    before = datetime.now(UTC) - _BEGINS_WITHIN
    with get_client(sync_client=True) as client:
        pending = client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(
                state=filters.FlowRunFilterState(
                    type=filters.FlowRunFilterStateType(any_=[StateType.PENDING])
                ),
                deployment_id=filters.FlowRunFilterDeploymentId(is_null_=True),
                expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=before),
            )
        )
        dead = [run for run in pending if run.parameters.get("home") == str(home.root)]
        for run in dead:
            client.set_flow_run_state(run.id, Crashed(message=_KILLED), force=True)
    return [run.name for run in dead]
