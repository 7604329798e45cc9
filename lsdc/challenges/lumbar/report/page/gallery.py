"""The gallery: the worst, the most doubtful and random cases, with images where there are any."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from lsdc.challenges.lumbar.report.figures.chosen import Chosen, choose_cases
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.cards import make_cards
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.errors import LsdcError
from lsdc.report.blocks import Block, CaseList, Paragraph, Row, Section
from lsdc.report.pictures import Pictures

log = logging.getLogger("lsdc.report")

_WITHOUT_IMAGES = 36  # cases, of which the worst are listed elsewhere
_ABOUT_IMAGES = (
    "Images: the crops that the model saw, with points, the line of the crossing plane, the weight "
    "of each slice (blue) and what the prediction rests on (red)."
)


@dataclass(frozen=True)
class Images:
    """Images for the gallery.

    Attributes:
        cases: the number of cases with images.
        draw: draws the cases of rows with row_id, study_id, condition and level.
    """

    cases: int
    draw: Callable[[pl.DataFrame], Pictures]


def gallery(content: Content, images: Images | None) -> Section:
    """Return the section with chosen cases of the first source.

    If the images cannot be drawn, the section says why.
    """
    blocks: list[Block] = []
    if images is not None and images.cases:
        chosen = choose_cases(content.first, images.cases)
        try:
            pictures = images.draw(chosen.rows)
        except LsdcError as error:
            log.warning("report: no images (%s)", error)
            blocks.append(Paragraph(f"The images could not be drawn: {error}", warns=True))
        else:
            return Section(
                "gallery", "Gallery", [Paragraph(_ABOUT_IMAGES), *_lists(content, chosen, pictures)]
            )
    elif content.runs:
        blocks.append(Paragraph(_about_missing(content.runs[0])))
    _, *lists = _lists(content, choose_cases(content.first, _WITHOUT_IMAGES), {})
    blocks.append(
        Paragraph("The cases that cost most are in the overview, and first in the table of cases.")
    )
    blocks.append(Row([[each] for each in lists], wide=360))
    return Section("gallery", "Gallery", blocks)


def _about_missing(source: RunSource) -> str:
    if source.members:
        return (
            "An ensemble has no crops of its own: the reports of its members, "
            f"{', '.join(source.members)}, show images of cases."
        )
    return f"'lsdc report {source.name}' writes the report with images of cases."


def _lists(content: Content, chosen: Chosen, pictures: Pictures) -> list[CaseList]:
    return [
        CaseList(caption, about, make_cards(content, rows, pictures), compact=not pictures)
        for caption, about, rows in (
            ("Worst", "They cost most: confident errors, hard cases, wrong labels.", chosen.worst),
            ("Most doubtful", "Their probabilities are most alike.", chosen.doubtful),
            ("Random", "A sample, to see what is usual.", chosen.random),
        )
    ]
