"""The worker type of our pools: Prefect's process worker, which reports a crash once."""

from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult


class LsdcWorker(ProcessWorker):
    """A process worker that does not mark a run crashed after it has been retried.

    Prefect's marks the run when it has loaded the flow for its hooks, some seconds after the crash
    was reported: a run that was retried meanwhile would be marked crashed.
    """

    type = "lsdc-process"

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: Any = None,
    ) -> ProcessWorkerResult:
        """Run a flow run in a process, and tell how it ended if nobody has yet."""
        result = await super().run(flow_run, configuration, task_status)
        if result.status_code == 0:
            return result
        now = await self.client.read_flow_run(flow_run.id)
        begun = now.state is not None and now.state.is_running()
        if begun and now.run_count == flow_run.run_count + 1:  # the attempt that ended
            return result
        return result.model_copy(update={"status_code": 0})
