"""What a Prefect server has recorded of a run; it records behind the run's back."""

import contextlib
import json
import time
import urllib.request

from lsdc.cli.network import open_directly
from lsdc.cli.prefect_settings import Api
from lsdc.cli.reach import authorization

_POLL_SECONDS = 0.25
_FINAL = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


def wait_until_recorded(api: Api, flow_run_id: str, task_runs: int, *, timeout: float) -> bool:
    """Wait until a flow run's end and that many ended task runs are in the server's database.

    Returns:
        Whether all was there before the timeout, in seconds.
    """
    of_this_run = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    ended = {"state": {"type": {"any_": _FINAL}}}
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # a busy server may not answer in time; asked again
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
