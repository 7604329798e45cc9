"""The run: time and memory, settings, versions, fingerprints, quarantine."""

from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.report.blocks import Block, Section
from lsdc.report.runs.record import (
    cost_blocks,
    differing_table,
    facts_table,
    fingerprints_table,
    quarantine_blocks,
    settings_table,
)


def record(content: Content) -> Section:
    """Return the section about the run; for several runs, also the settings that differ."""
    blocks: list[Block] = []
    if len(content.runs) > 1:
        blocks.append(differing_table(content.runs))
    for source in content.runs:
        blocks += _of_run(content, source)
    return Section("run", "Run", blocks)


def _of_run(content: Content, source: RunSource) -> list[Block]:
    def titled(text: str) -> str:
        return content.titled(text, source.name)

    bad = titled("Files that could not be used (quarantine)")
    trained = [
        *((f"Fold {each.fold}", each) for each in source.folds),
        *((f"Sequence {each.fold}", each) for each in source.sequences),
    ]
    return [
        facts_table(titled("What was run"), source, source.folds),
        *cost_blocks(titled("Time and memory of the stages"), source.costs),
        *quarantine_blocks(bad, source.quarantine, {"file": "File"}),
        settings_table(titled("settings"), source.settings),
        fingerprints_table(titled("Fingerprints"), source, trained),
    ]
