"""Build the page of a report from runs, or from tables of predictions."""

from collections.abc import Sequence

from lsdc import __version__
from lsdc.challenges.hemorrhage.report.figures.chosen import MOST_CASES
from lsdc.challenges.hemorrhage.report.figures.compared import compare
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
from lsdc.report.page import Page, render


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
    page = Page(
        title=" and ".join(source.name for source in sources),
        about=_about(content),
        sections=sections,
        cases=make_cases(content),
        classes=PRESENCE,
        made_by=f"Made by lsdc {__version__}. Not a medical device.",
    )
    return render(page)


def _cases(content: Content) -> Section:
    """Return the section of the table of cases, which says what the table leaves out."""
    blocks: list[Block] = [CaseTable()]
    size = content.first.costs.size
    if size > MOST_CASES:
        text = f"Of {size:,} cases, the {MOST_CASES:,} that cost most in {content.first.name}."
        blocks.insert(0, Paragraph(text))
    return Section("cases", "Cases", blocks)


def _about(content: Content) -> str:
    rows = content.first.rows
    parts = []
    for column, noun in (("patient", "patient"), ("study_id", "study")):
        if not rows[column].null_count():
            parts.append(counted(rows[column].n_unique(), noun))
    parts.append(counted(rows.height, "labelled slice"))
    if folds := content.first.folds:
        parts.append(counted(len(folds), "fold"))
    parts += [str(source.record) for source in content.runs if source.record]
    return " · ".join(parts)
