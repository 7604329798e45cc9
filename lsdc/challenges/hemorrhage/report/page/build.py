"""Build the page of a report from runs, or from tables of predictions."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.report.figures.chosen import MOST_CASES
from lsdc.challenges.hemorrhage.report.figures.compared import compare
from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.figures.sources import Source
from lsdc.challenges.hemorrhage.report.page.calibrated import calibrated
from lsdc.challenges.hemorrhage.report.page.cards import make_cases
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.page.gallery import Images, gallery
from lsdc.challenges.hemorrhage.report.page.groups import groups
from lsdc.challenges.hemorrhage.report.page.losses import losses
from lsdc.challenges.hemorrhage.report.page.overview import overview
from lsdc.challenges.hemorrhage.report.page.record import record
from lsdc.challenges.hemorrhage.report.page.reported import reported
from lsdc.challenges.hemorrhage.report.page.training import training
from lsdc.challenges.hemorrhage.report.words import PRESENCE
from lsdc.messages import counted
from lsdc.report.blocks import Block, CaseTable, Paragraph, Section
from lsdc.report.runs.page import render_runs


def build_report(sources: Sequence[Source], images: Images | None = None) -> str:
    """Return the report of one or more sources as one HTML page.

    Args:
        sources: the runs, or tables of predictions; the others are compared with the first.
        images: how to draw images of cases of the first source; None for a page without any.

    Raises:
        DataError: several sources have no image in common, or different labels.
    """
    content = Content(tuple(sources), compare([source.scored for source in sources]))
    figures = reported(content)
    sections = [
        overview(content),
        losses(content),
        *([figures] if figures else []),
        groups(content),
        _cases(content),
        gallery(content, images),
        calibrated(content),
        *([training(content), record(content)] if content.runs else []),
    ]
    about, cases = _about(content.first), make_cases(content)
    return render_runs(content, sections, about=about, cases=cases, classes=PRESENCE)


def _cases(content: Content) -> Section:
    """Return the section of the table of cases, which says what the table leaves out."""
    blocks: list[Block] = [CaseTable()]
    size = content.first.costs.size
    if size > MOST_CASES:
        text = f"Of {size:,} cases, the {MOST_CASES:,} that cost most in {content.first.name}."
        blocks.insert(0, Paragraph(text))
    return Section("cases", "Cases", blocks)


def _about(first: Scored) -> list[str]:
    rows, parts = first.rows, []
    for column, noun in (("patient", "patient"), ("study_id", "study")):
        if not rows[column].null_count():
            parts.append(counted(rows[column].n_unique(), noun))
    return [*parts, counted(rows.height, "labelled slice")]
