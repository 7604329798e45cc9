"""The page of a report on runs: its title, a line about its sources, and its sections."""

from collections.abc import Sequence
from typing import Any

from lsdc import __version__
from lsdc.messages import counted
from lsdc.report.blocks import Section
from lsdc.report.cases import Cases
from lsdc.report.page import Page, render
from lsdc.report.runs.content import Content


def render_runs(
    content: Content[Any, Any],
    sections: Sequence[Section],
    *,
    about: Sequence[str],
    cases: Cases,
    classes: Sequence[str],
) -> str:
    """Return the report as one HTML page.

    Args:
        content: the content of the report.
        sections: its sections.
        about: what is said of its rows below the title; folds and records follow.
        cases: the table of cases.
        classes: the names of the classes of a case.
    """
    parts = [*about]
    if folds := content.first.folds:
        parts.append(counted(len(folds), "fold"))
    parts += [str(run.record) for run in content.runs if run.record]
    page = Page(
        title=" and ".join(source.name for source in content.sources),
        about=" · ".join(parts),
        sections=sections,
        cases=cases,
        classes=classes,
        made_by=f"Made by lsdc {__version__}. Not a medical device.",
    )
    return render(page)
