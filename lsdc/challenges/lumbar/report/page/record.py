"""The run: time and memory, settings, versions, fingerprints, corrections, quarantine."""

from lsdc.challenges.lumbar.quality.corrections import describe_corrections
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import CONDITION_NAMES, LEVEL_NAMES
from lsdc.messages import counted
from lsdc.report.blocks import Block, DataTable, Paragraph, Section
from lsdc.report.runs.record import (
    cost_blocks,
    differing_table,
    facts_table,
    fingerprints_table,
    quarantine_blocks,
    settings_table,
)

_WORDS = frozenset(range(6))
_IDS = {"study_id": "Study", "series_id": "Series", "instance_number": "Image"}


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
    return [
        facts_table(titled("What was run"), source, source.folds),
        *cost_blocks(titled("Time and memory of the stages"), source.costs),
        *([] if source.members else _corrections(content, source)),
        *quarantine_blocks(bad, source.quarantine, _IDS),
        settings_table(titled("settings"), source.settings),
        fingerprints_table(
            titled("Fingerprints"), source, [(f"Fold {each.fold}", each) for each in source.folds]
        ),
    ]


def _corrections(content: Content, source: RunSource) -> list[Block]:
    made = source.corrections
    caption = content.titled("Corrections of annotated points", source.name)
    if made.is_empty():
        return [Paragraph(f"{caption}: none.")]
    rows = [
        [
            str(row["rule"]).replace("_", " "),
            str(row["study_id"]),
            str(row["series_id"]),
            str(row["instance_number"]),
            f"{CONDITION_NAMES[row['condition']]} {LEVEL_NAMES[row['level']]}",
            "dropped"
            if row["became_condition"] is None
            else f"{CONDITION_NAMES[row['became_condition']]} {LEVEL_NAMES[row['became_level']]}",
        ]
        for row in made.iter_rows(named=True)
    ]
    head = ["Rule", "Study", "Series", "Image", "Point", "Became"]
    return [
        Paragraph(f"{caption}: {describe_corrections(made.select('rule', 'study_id'))}."),
        DataTable(f"All {counted(len(rows), 'correction')}", head, rows, _WORDS, folded=True),
    ]
