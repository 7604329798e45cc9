"""The run: time and memory, settings, versions, fingerprints, quarantine."""

from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.report.blocks import Section
from lsdc.report.runs.record import record_section


def record(content: Content) -> Section:
    """Return the section about the run; for several runs, also the settings that differ."""
    return record_section(content, lambda _: [], {"file": "File"})
