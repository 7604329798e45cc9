"""The process of a worker: `prefect worker start`, which ends with the process that started it.

python -P -m lsdc.cli.server.worker_child --pool POOL ...      # what `prefect worker start` takes
"""

import sys
from functools import wraps
from typing import Any

from lsdc.cli.server.parent_watchdog import end_with_parent


def main() -> None:
    """Work until told to end, or until the parent is gone."""
    end_with_parent()
    from prefect.cli import app

    _report_crashes_once()
    sys.argv[1:1] = ["worker", "start"]
    app()


def _report_crashes_once() -> None:
    """Have a crash not reported a second time once it is reported, or the run was retried since.

    Prefect's worker does so some seconds later, when it has loaded the flow for its hooks: a run
    that was retried meanwhile would be marked crashed.
    """
    from prefect.client.schemas.objects import FlowRun
    from prefect.workers.process import ProcessWorker, ProcessWorkerResult

    run = ProcessWorker.run

    @wraps(run)
    async def reported(
        self: ProcessWorker, flow_run: FlowRun, *args: Any, **more: Any
    ) -> ProcessWorkerResult:
        result = await run(self, flow_run, *args, **more)
        if result.status_code == 0:
            return result
        now = await self.client.read_flow_run(flow_run.id)
        begun = now.state is not None and now.state.is_running()
        if begun and now.run_count == flow_run.run_count + 1:  # the attempt that ended
            return result
        return result.model_copy(update={"status_code": 0})

    ProcessWorker.run = reported  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
