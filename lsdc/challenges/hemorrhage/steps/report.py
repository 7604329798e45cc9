"""The step that writes the report of a scored run."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.steps.prepare import Prepared
from lsdc.store.manifest import Manifest


def report(run: HemorrhageRun, prepared: Prepared, trained: Sequence[Manifest]) -> None:
    """Write nothing yet."""
