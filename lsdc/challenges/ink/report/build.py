"""Write the report of runs, and the model card of a run."""

from collections.abc import Sequence
from pathlib import Path

from lsdc import __version__
from lsdc.challenges.ink.report import content
from lsdc.challenges.ink.report.card import build_card
from lsdc.challenges.ink.report.sources import RunSource
from lsdc.report.page import Page, render
from lsdc.store.files import write_text


def write_report(sources: Sequence[RunSource], path: Path, *, images: int) -> None:
    """Write a report as an HTML file, in a folder that is created if needed.

    Args:
        sources: the runs; the others are compared with the first.
        path: the file.
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
    write_text(path, render(page))


def write_card(source: RunSource, path: Path) -> None:
    """Write the model card of a run as a Markdown file."""
    write_text(path, build_card(source))
