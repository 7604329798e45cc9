"""Python's garbage collection, which slows the start of large programs."""

import gc

_ALLOCATIONS = 50_000  # Python's default is 700; each import of a library allocates thousands


def collect_seldom() -> None:
    """Collect garbage seldom: while Prefect is imported, collections take 0.7 s."""
    gc.set_threshold(_ALLOCATIONS)
