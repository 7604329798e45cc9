"""Report: its key, and how it is written at the end of a run, which does not fail without it."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.exceptions import CancelledRun

from lsdc.errors import InterruptedRunError
from lsdc.report import CARD, REPORT
from lsdc.store.files import digest_file, write_text
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.store.runs import read_record
from tasks.common.prepared import BasePrepared
from tasks.former import OOF_FILES
from tasks.run import Run
from tasks.stage import Stage

log = logging.getLogger("lsdc.report")


def shown_of_run(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report shows beside the stages' results, for its key."""
    run: Run = inputs["run"]
    return {
        "run": run.name,
        "record": read_record(run.folder),
        "experiment": run.experiment,
        "images": run.images,
        "scored": [digest_file(run.folder / name) for name in OOF_FILES],
    }


def store_report(run: Run, page: str, card: str) -> Manifest:
    """Write the report, an HTML page, and the model card, Markdown, into a run's folder."""
    write_text(run.folder / REPORT, page)
    write_text(run.folder / CARD, card)
    return make_manifest(run.root, "report", run.folder, rows=2, names=[REPORT, CARD])


def report_if_possible(
    make_report: Stage[..., Manifest],
    run: Run,
    prepared: BasePrepared,
    trained: Sequence[Manifest],
) -> None:
    """Write report and model card; a failure is only logged, as scores and submission need neither.

    Those of earlier results are then removed.

    Args:
        make_report: the challenge's stage that makes both.
        run: the run.
        prepared: the results of the stages before training.
        trained: the results of the training.
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
