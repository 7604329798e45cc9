"""The context that the threads of a run share."""

import threading
import time
from contextvars import copy_context

from lsdc.run_context import own_run_context, run_context


def test_shutdown_reaches_only_threads_of_its_run() -> None:
    with own_run_context() as first:
        waits = threading.Thread(target=copy_context().run, args=(run_context().sleep, 600))
        waits.start()
        first.request_shutdown()
        waits.join(timeout=60)
        assert not waits.is_alive()
    with own_run_context() as second:
        assert not second.shutdown_requested()
    assert not run_context().shutdown_requested()


def test_run_uses_the_context_of_its_caller() -> None:
    with own_run_context() as outer, own_run_context() as inner:
        assert inner is outer


def test_shutdown_of_a_part_does_not_stop_the_run_but_the_reverse_does() -> None:
    with own_run_context() as run:
        with run.nested() as part:
            part.request_shutdown()
            assert run_context().shutdown_requested()
        assert not run_context().shutdown_requested()
        with run.nested() as part:
            run.request_shutdown()
            began = time.monotonic()
            part.sleep(600)
            assert time.monotonic() - began < 60
        with run.nested() as part:
            assert part.shutdown_requested()
