"""Build the page of a report from runs, or from tables of predictions."""

from collections.abc import Sequence

from lsdc.challenges.lumbar.report.figures.sources import Source
from lsdc.challenges.lumbar.report.page.calibrated import calibrated
from lsdc.challenges.lumbar.report.page.cards import make_cases
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.gallery import Images, gallery
from lsdc.challenges.lumbar.report.page.groups import changes, groups
from lsdc.challenges.lumbar.report.page.losses import losses
from lsdc.challenges.lumbar.report.page.members import members
from lsdc.challenges.lumbar.report.page.overview import overview
from lsdc.challenges.lumbar.report.page.record import record
from lsdc.challenges.lumbar.report.page.training import training
from lsdc.challenges.lumbar.report.page.words import GRADES_SHOWN
from lsdc.challenges.lumbar.scoring.compared import compare
from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.messages import counted
from lsdc.report.blocks import CaseTable, Section
from lsdc.report.runs.page import render_runs


def build_report(sources: Sequence[Source], images: Images | None = None) -> str:
    """Return the report of one or more sources as one HTML page.

    Args:
        sources: the runs, or tables of predictions; the others are compared with the first.
        images: how to draw images of cases of the first source; None for a page without any.

    Raises:
        DataError: several sources have no labelled row in common, or different labels.
    """
    compared = compare([source.scored for source in sources])
    content = Content(tuple(sources), compared)
    sections = [
        overview(content),
        *([changes(content)] if not content.is_single else []),
        *([members(content)] if any(source.members for source in content.runs) else []),
        losses(content),
        groups(content),
        Section("cases", "Cases", [CaseTable()]),
        gallery(content, images),
        calibrated(content),
        *([training(content), record(content)] if content.runs else []),
    ]
    about, cases = _about(content.first), make_cases(content)
    return render_runs(content, sections, about=about, cases=cases, classes=GRADES_SHOWN)


def _about(first: Scored) -> list[str]:
    studies = counted(first.rows["study_id"].n_unique(), "study")
    return [f"{studies}, {counted(first.rows.height, 'labelled row')}"]
