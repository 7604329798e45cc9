"""The worker type of our pools: Prefect's process worker, with draining and safe crash handling."""

import signal
import threading
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

_draining = threading.Event()


class LsdcWorker(ProcessWorker):
    """A process worker that can be drained and never marks a retried run as crashed.

    Prefect's own worker marks the run only after loading the flow for its hooks, some seconds after
    the crash was reported. A run that was retried meanwhile would be marked as crashed.
    """

    type = "lsdc-process"

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Fetch the runs that are due, unless the worker is draining."""
        return [] if _draining.is_set() else await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: Any = None,
    ) -> ProcessWorkerResult:
        """Run a flow run in a process and report its final state if nobody has yet."""
        if _draining.is_set():  # fetched just before: leave it to another worker
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
    """Let SIGUSR1 drain the workers of this process: they start no more runs."""
    signal.signal(signal.SIGUSR1, lambda *_: _draining.set())
