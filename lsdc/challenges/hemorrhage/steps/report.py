"""The step that writes the report of a scored run."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.stages.report import make_report
from lsdc.challenges.hemorrhage.steps.prepare import Prepared
from lsdc.store.manifest import Manifest
from tasks.common.report import report_if_possible


def report(run: HemorrhageRun, prepared: Prepared, trained: Sequence[Manifest]) -> None:
    """Write report and model card, if possible: scores and submission need neither."""
    report_if_possible(run, lambda: make_report(run, trained, prepared.manifests))
