"""What a call costs: wall time and CPU time."""

import resource
import time
from collections.abc import Callable


def cost_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and the CPU time of a call in seconds, its children included."""

    def busy() -> float:
        own, children = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    started, before = time.perf_counter(), busy()
    work()
    return time.perf_counter() - started, busy() - before
