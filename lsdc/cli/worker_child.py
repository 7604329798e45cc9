"""The process of a worker: `prefect worker start`, which ends with the process that started it.

python -P -m lsdc.cli.worker_child --pool POOL ...      # what `prefect worker start` takes
"""

import sys
from functools import wraps
from typing import Any

from lsdc.cli.orphans import end_with_parent


def main() -> None:
    """Work until told to end, or until the parent is gone."""
    end_with_parent()
    from prefect.cli import app

    _report_crashes_once()
    sys.argv[1:1] = ["worker", "start"]
    app()


def _report_crashes_once() -> None:
    """Have a crashed run reported as its process ends, and not a second time.

    Prefect's worker reports it again some seconds later, when it has loaded the flow for its hooks:
    a run that was retried meanwhile would be marked crashed.
    """
    from prefect.workers.process import ProcessWorker, ProcessWorkerResult

    run = ProcessWorker.run

    @wraps(run)
    async def reported(self: ProcessWorker, *args: Any, **more: Any) -> ProcessWorkerResult:
        result = await run(self, *args, **more)
        return result.model_copy(update={"status_code": 0})

    ProcessWorker.run = reported  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
