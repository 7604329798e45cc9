"""Write the report of runs, or of tables of predictions, and the model card of a run."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.hemorrhage.report.card import build_card
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource, Source
from lsdc.challenges.hemorrhage.report.page.build import build_report
from lsdc.challenges.hemorrhage.report.page.gallery import Images
from lsdc.store.files import write_text


def write_report(sources: Sequence[Source], path: Path, images: Images | None = None) -> None:
    """Write a report as an HTML file, in a folder that is created if needed.

    Args:
        sources: the runs, or tables of predictions; the others are compared with the first.
        path: the file.
        images: how to draw images of cases of the first source; None for a page without any.

    Raises:
        DataError: several sources cannot be compared.
    """
    write_text(path, build_report(sources, images))


def write_card(source: RunSource, path: Path) -> None:
    """Write the model card of a run as a Markdown file."""
    write_text(path, build_card(source))
