"""Python's garbage collection, which slows the start and the end of large programs."""

import atexit
import gc

_ALLOCATIONS = 50_000  # Python's default is 700; each import of a library allocates thousands


def collect_seldom() -> None:
    """Collect garbage seldom, and not at exit: a collection takes 0.5 s if Prefect is imported."""
    gc.set_threshold(_ALLOCATIONS)
    atexit.register(gc.freeze)
