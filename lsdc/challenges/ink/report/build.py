"""Build the page of a report from runs."""

from collections.abc import Sequence

from lsdc import __version__
from lsdc.challenges.ink.report import content
from lsdc.challenges.ink.report.sources import RunSource
from lsdc.report.page import Page, render


def build_report(sources: Sequence[RunSource], images: int) -> str:
    """Return the report of one or more runs as one HTML page.

    Args:
        sources: the runs; the others are compared with the first.
        images: the largest number of regions of the first run that are drawn.
    """
    runs = list(sources)
    figures = content.reported(runs)
    sections = [
        content.overview(runs),
        *([content.pictures(runs[0], images)] if images else []),
        content.masks(runs),
        *([figures] if figures else []),
        content.training(runs, images=images > 0),
        content.record(runs),
    ]
    page = Page(
        title=" and ".join(run.name for run in runs),
        about=content.about(runs[0]),
        sections=sections,
        made_by=f"Made by lsdc {__version__}.",
    )
    return render(page)
