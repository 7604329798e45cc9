"""Report: written at the end of a run, which does not fail without it."""

import contextlib
import logging
from collections.abc import Callable

from prefect.exceptions import CancelledRun

from lsdc.errors import InterruptedRunError
from lsdc.report import CARD, REPORT
from tasks.run import Run

log = logging.getLogger("lsdc.report")


def report_if_possible(run: Run, make: Callable[[], object]) -> None:
    """Write report and model card; a failure is only logged, as scores and submission need neither.

    Those of earlier results are then removed.

    Args:
        run: the run.
        make: makes both.
    """
    try:
        make()
    except (InterruptedRunError, CancelledRun):
        raise
    except Exception as error:  # noqa: BLE001 (whatever fails, the results are complete)
        for name in (REPORT, CARD):
            with contextlib.suppress(OSError):
                (run.folder / name).unlink(missing_ok=True)
        reason = (str(error).splitlines() or ["no reason given"])[0]
        log.warning(
            "report: not written (%s: %s); scores and submission are complete without it; try "
            "again with 'lsdc report %s --home %s'",
            type(error).__name__,
            reason,
            run.name,
            run.root,
        )
