"""Reschedule a run on a worker while another run builds in its home.

A run that waited would hold its worker's GPU, which other experiments' folds may need.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import AwaitingRetry

from lsdc.errors import HomeBusyError

# Folds of one run look up their inputs at the same time, each for some seconds.
PATIENCE_SECONDS = 60.0
AGAIN_AFTER = timedelta(minutes=1)

log = logging.getLogger("lsdc.run")


@contextmanager
def rescheduled_if_busy() -> Iterator[float | None]:
    """Reschedule this flow run if another run uses its home, and end its process.

    Yields:
        How many seconds the run may wait for the home. None, without limit, for a run without a
        deployment: no worker could start it again.
    """
    context = FlowRunContext.get()
    me = None if context is None else context.flow_run
    if me is None or me.deployment_id is None:
        yield None
        return
    try:
        yield PATIENCE_SECONDS
    except HomeBusyError as error:
        again: State[None] = AwaitingRetry(
            scheduled_time=datetime.now(UTC) + AGAIN_AFTER,
            message=f"{error}; the run starts again in a minute, and its worker is free until then",
        )
        log.warning("%s", again.message)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(me.id, again, force=True)
        raise Abort(again.message) from None
