"""The step that writes the report of a scored run."""

import contextlib
import logging
from collections.abc import Sequence

from prefect.exceptions import CancelledRun

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.report import make_report
from lsdc.challenges.lumbar.steps.prepare import Dealt
from lsdc.errors import InterruptedRunError
from lsdc.report import CARD, REPORT
from lsdc.store.manifest import Manifest

log = logging.getLogger("lsdc.report")


def report(run: LumbarRun, prepared: Dealt, trained: Sequence[Manifest]) -> None:
    """Write report and model card; a failure is only logged, as scores and submission need neither.

    Those of earlier results are then removed.
    """
    try:
        make_report(run, trained, prepared.manifests)
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
