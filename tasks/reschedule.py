"""Reschedule a run on a worker while another run holds the lock of its home.

If the run waited, it would occupy a GPU that folds of other experiments may need.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import AwaitingRetry

from lsdc.errors import HomeBusyError
from tasks.prefect_runs import this_flow_run

# Folds of one run start at the same time, and each holds the lock for some seconds.
MAX_WAIT_SECONDS = 60.0
RETRY_DELAY = timedelta(minutes=1)

log = logging.getLogger("lsdc.run")


@contextmanager
def rescheduled_if_busy() -> Iterator[float | None]:
    """Reschedule this flow run if another run uses its home, and end its process.

    Yields:
        How many seconds the run may wait for the lock. None means no limit: a run without a
        deployment has to wait, because no worker could start it again.
    """
    me = this_flow_run()
    if me is None or me.deployment_id is None:
        yield None
        return
    try:
        yield MAX_WAIT_SECONDS
    except HomeBusyError as error:
        again: State[None] = AwaitingRetry(
            scheduled_time=datetime.now(UTC) + RETRY_DELAY,
            message=f"{error}; the run starts again in a minute, and its worker is free until then",
        )
        log.warning("%s", again.message)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(me.id, again, force=True)
        raise Abort(again.message) from None
