"""How often a crashed run is set going again."""

from datetime import timedelta
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed, Failed

from flows.dispatch import _may_go_on

MINUTE = timedelta(minutes=1)


def crashed(*, ran: timedelta) -> FlowRun:
    """The same run each time, which has run so long in all."""
    return FlowRun(id=RUN, flow_id=RUN, state=Crashed(), total_run_time=ran)


RUN = uuid4()


def test_run_that_crashes_soon_each_time_is_given_up_after_three() -> None:
    crashes: dict = {}
    tries = [_may_go_on(crashed(ran=number * MINUTE), crashes) for number in range(1, 5)]
    assert tries == [True, True, True, False]


def test_run_that_gets_somewhere_between_crashes_goes_on_for_long() -> None:
    crashes: dict = {}
    assert all(_may_go_on(crashed(ran=n * 15 * MINUTE), crashes) for n in range(1, 11))
    tries = [_may_go_on(crashed(ran=165 * MINUTE), crashes) for _ in range(4)]
    assert tries == [True, True, True, False]

    crashes.clear()
    tries = [_may_go_on(crashed(ran=n * 15 * MINUTE), crashes) for n in range(1, 22)]
    assert tries == [*[True] * 20, False]


def test_failure_is_no_crash() -> None:
    assert not _may_go_on(FlowRun(flow_id=RUN, state=Failed()), {})
