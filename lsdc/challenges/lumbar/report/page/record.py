"""The run: time and memory, settings, versions, fingerprints, corrections, quarantine."""

from lsdc.challenges.lumbar.quality.corrections import describe_corrections
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import CONDITION_NAMES, LEVEL_NAMES
from lsdc.messages import counted
from lsdc.report.blocks import Block, DataTable, Paragraph, Section
from lsdc.report.runs.record import record_section

_WORDS = frozenset(range(6))
_IDS = {"study_id": "Study", "series_id": "Series", "instance_number": "Image"}


def record(content: Content) -> Section:
    """Return the section about the run; for several runs, also the settings that differ."""

    def corrections(run: RunSource) -> list[Block]:
        return [] if run.members else _corrections(content, run)

    return record_section(content, corrections, _IDS)


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
