"""The gallery: the worst, the most doubtful and random cases, with images where there are any."""

from lsdc.challenges.lumbar.report.figures.chosen import choose_cases
from lsdc.challenges.lumbar.report.page.cards import Pictures, make_cards
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.report.blocks import Block, CaseList, Row, Section

_FEW = 12, 12, 12  # cases of each kind, without images


def gallery(content: Content, pictures: Pictures) -> Section:
    """Return the section with chosen cases of the first source."""
    chosen = choose_cases(content.first) if pictures else choose_cases(content.first, *_FEW)
    lists: list[Block] = [
        CaseList(caption, about, make_cards(content, rows, pictures), compact=not pictures)
        for caption, about, rows in (
            ("Worst", "They cost most: confident errors, hard cases, wrong labels.", chosen.worst),
            ("Most doubtful", "Their probabilities are most alike.", chosen.doubtful),
            ("Random", "A sample, to see what is usual.", chosen.random),
        )
    ]
    blocks = lists if pictures else [Row([[each] for each in lists], wide=360)]
    return Section("gallery", "Gallery", blocks)
