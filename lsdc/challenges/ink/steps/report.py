"""The step that writes the report of a scored run."""

from collections.abc import Sequence

from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.stages.report import make_report
from lsdc.challenges.ink.steps.prepare import Prepared
from lsdc.store.manifest import Manifest
from tasks.common.report import report_if_possible


def report(run: InkRun, prepared: Prepared, trained: Sequence[Manifest]) -> None:
    """Write report and model card, if possible: scores and submission need neither."""
    report_if_possible(run, lambda: make_report(run, trained, prepared.manifests))
