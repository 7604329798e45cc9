"""Python's garbage collection, which slows the start and the end of large programs."""

import gc

_ALLOCATIONS = 50_000  # Python's default is 700; each import of a library allocates thousands


def collect_seldom() -> None:
    """Collect garbage seldom: while Prefect is imported, collections take 0.7 s."""
    gc.set_threshold(_ALLOCATIONS)


def never_collect_imported() -> None:
    """Leave what has been imported so far out of all collections; the last one takes 1 s else.

    Call it before duckdb is imported, which reports objects that are left at the end.
    """
    gc.freeze()
