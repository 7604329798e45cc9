"""Write the report of runs, or of tables of predictions."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.lumbar.report.figures.sources import Source
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.store.files import write_text


def write_report(sources: Sequence[Source], path: Path) -> None:
    """Write a report as an HTML file, in a folder that is created if needed.

    Raises:
        DataError: several sources cannot be compared.
    """
    write_text(path, build_report(sources))
