"""Runners: where the shards of a stage run, a setting of each host.

`LSDC_TASK_RUNNER` is `threads` (this process), `dask` (processes of this machine, one per thread of
the run) or the address of a Dask scheduler, such as tcp://HOST:8786.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lsdc.errors import SettingsError, StageError

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

VARIABLE = "LSDC_TASK_RUNNER"
THREADS, DASK = "threads", "dask"

_ADDRESS = re.compile(r"(tcp|tls)://\S+:\d+")


def find_runner(choice: str | None = None) -> str:
    """Return the requested runner, else that of LSDC_TASK_RUNNER, else threads.

    Raises:
        SettingsError: the runner is unknown, or Dask is not installed.
    """
    runner = choice or os.environ.get(VARIABLE) or THREADS
    if runner not in (THREADS, DASK) and not _ADDRESS.fullmatch(runner):
        raise SettingsError(
            f"task runner {runner}: expected {THREADS}, {DASK}, or a Dask scheduler's address such "
            "as tcp://HOST:8786"
        )
    if runner != THREADS and find_spec("prefect_dask") is None:
        raise SettingsError(f"task runner {runner}: needs Dask; pip install 'lsdc[dask]'")
    return runner


@contextmanager
def open_runner(runner: str, threads: int) -> Iterator["TaskRunner[Any]"]:
    """Yield the task runner for a stage's shards.

    Args:
        runner: the runner, as `find_runner` returns it.
        threads: the number of the run's threads on this machine.

    Raises:
        StageError: no scheduler answers at the address.
    """
    # Prefect reads its settings when imported, and commands have to set some first.
    if runner == THREADS:
        from prefect.task_runners import ThreadPoolTaskRunner

        # One at a time: each has enough child processes for all threads.
        with ThreadPoolTaskRunner[Any](max_workers=1) as here:
            yield here
        return
    from prefect_dask.task_runners import DaskTaskRunner

    if runner == DASK:
        cluster = {
            "n_workers": threads,
            "threads_per_worker": 1,
            "dashboard_address": None,
            "memory_limit": None,  # else each gets a fraction, which may be too little
        }
        dask = DaskTaskRunner(cluster_kwargs=cluster)
    else:
        dask = DaskTaskRunner(address=runner)
    with dask:
        try:
            _ = dask.client  # connects
        except OSError as error:
            raise StageError(
                f"task runner {runner}: no Dask scheduler answers there ({error}); start one with "
                f"'dask scheduler', or set {VARIABLE} to {THREADS} or {DASK}"
            ) from None
        yield dask
