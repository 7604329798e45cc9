"""The gallery: costly cases of each label, with pictures where there are any."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsdc.challenges.hemorrhage.report.figures.chosen import spread_cases
from lsdc.challenges.hemorrhage.report.page.cards import make_cards
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES, SHORT_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.errors import LsdcError
from lsdc.report.blocks import Block, CaseList, Paragraph, Row, Section
from lsdc.report.pictures import Pictures

log = logging.getLogger("lsdc.report")

_WITHOUT_IMAGES = 36
_SHORT = {label: short for label, short in SHORT_NAMES.items() if short != label}
_ABOUT_IMAGES = (
    "Images that cost much, for each label and of many studies; each image is shown once. A "
    "picture shows the slice in windows that the model sees, the slices below and above, and the "
    "predictions of all slices of the study, from the lowest to the highest: curves are "
    "probabilities from 0 to 1, bars below them are the labels, and the line marks the slice. "
    f"{', '.join(f'{short} is {LABEL_NAMES[label].lower()}' for label, short in _SHORT.items())}."
)


@dataclass(frozen=True)
class Images:
    """Images for the gallery.

    Attributes:
        cases: the number of cases with images.
        draw: draws the slices of images, by their ids, each with the label that it is shown for.
    """

    cases: int
    draw: Callable[[Sequence[tuple[str, str]]], Pictures]


def gallery(content: Content, images: Images | None) -> Section:
    """Return the section with chosen cases of the first source.

    If the images cannot be drawn, the section says why.
    """
    blocks: list[Block] = []
    pictures: Pictures = {}
    if images is not None and images.cases:
        cases = spread_cases(content.first, images.cases)
        ids = content.first.rows["image_id"].gather(cases.images)
        shown = [(image, PARTS[label]) for image, label in zip(ids, cases.labels, strict=True)]
        try:
            pictures = images.draw(shown)
            blocks.append(Paragraph(_ABOUT_IMAGES))
        except (LsdcError, OSError) as error:
            log.warning("report: no images (%s)", error)
            blocks.append(Paragraph(f"The images could not be drawn: {error}", warns=True))
    elif content.runs:
        name = content.runs[0].name
        blocks.append(Paragraph(f"'lsdc report {name}' writes the report with images of cases."))
    if not pictures:
        cases = spread_cases(content.first, _WITHOUT_IMAGES)
        blocks.append(Paragraph("Cases of each label that cost much, of many studies."))
    lists = [
        CaseList(LABEL_NAMES[part], "", make_cards(content, own, pictures), compact=not pictures)
        for number, part in enumerate(PARTS)
        if len(own := cases.of_label(number))
    ]
    blocks += lists if pictures else [Row([[each] for each in lists], wide=360)]
    return Section("gallery", "Gallery", blocks)
