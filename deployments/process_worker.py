"""The worker type of our pools: Prefect's process worker, in order at a crash and at the end."""

import signal
import threading
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

_draining = threading.Event()


class LsdcWorker(ProcessWorker):
    """A process worker that can be drained, and marks no run crashed that has been retried.

    Prefect's marks the run when it has loaded the flow for its hooks, some seconds after the crash
    was reported: a run that was retried meanwhile would be marked crashed.
    """

    type = "lsdc-process"

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take the runs that are due, unless the worker is to begin no more."""
        return [] if _draining.is_set() else await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: Any = None,
    ) -> ProcessWorkerResult:
        """Run a flow run in a process, and tell how it ended if nobody has yet."""
        if _draining.is_set():  # it was taken just before: another worker is to have it
            await self.client.set_flow_run_state(flow_run.id, Scheduled(), force=True)
            if task_status is not None:
                task_status.started(0)
            return ProcessWorkerResult(status_code=0, identifier="none")
        result = await super().run(flow_run, configuration, task_status)
        if result.status_code == 0:
            return result
        now = await self.client.read_flow_run(flow_run.id)
        begun = now.state is not None and now.state.is_running()
        if begun and now.run_count == flow_run.run_count + 1:  # the attempt that ended
            return result
        return result.model_copy(update={"status_code": 0})


def drain_on_signal() -> None:
    """From now on, have SIGUSR1 tell the workers of this process to begin no more runs."""
    signal.signal(signal.SIGUSR1, lambda *_: _draining.set())
