"""What a page consists of: sections of paragraphs, tables, heat maps, charts and cases.

Text is escaped when the page is rendered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A number with its name, and a note below it.

    `leads` makes it the first thing that a reader sees.
    """

    name: str
    value: str
    note: str = ""
    leads: bool = False


@dataclass(frozen=True)
class Figures:
    """Numbers in a row."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `warns` marks what a reader has to know before using the numbers."""

    kind: ClassVar[str] = "paragraph"
    text: str
    warns: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table: text, perhaps a link, and a bar behind it that covers a share of it."""

    text: str
    href: str = ""
    bar: float | None = None


@dataclass(frozen=True)
class DataTable:
    """A table; the first column names the rows.

    Attributes:
        caption: what the table shows.
        head: the headings of the columns.
        rows: a cell, or its text, for each column.
        words: columns of words, by number, which are aligned left; the others hold numbers.
        strong: rows that are set in bold, by number.
        folded: whether the reader has to open it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    words: frozenset[int] = frozenset([0])
    strong: frozenset[int] = frozenset()
    folded: bool = False


@dataclass(frozen=True)
class Heat:
    """A cell of a heat map: text, a step of the colour scale, and a link.

    Attributes:
        text: the number.
        step: from 0 (nothing) to 8 (most); from -8 to 8 on a scale with a middle.
        href: where more is found.
        note: a second, smaller line.
    """

    text: str
    step: int = 0
    href: str = ""
    note: str = ""


@dataclass(frozen=True)
class HeatMap:
    """A table of coloured cells; a cell that is None is empty."""

    kind: ClassVar[str] = "heatmap"
    caption: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Heat | None]]]


@dataclass(frozen=True)
class Chart:
    """A chart with a caption and the entries of its legend: a name and the number of its colour."""

    kind: ClassVar[str] = "chart"
    caption: str
    svg: Markup
    legend: Sequence[tuple[str, int]] = ()
    wide: bool = False


@dataclass(frozen=True)
class CaseCard:
    """A case in a list: its key, what it is, and for each run the bars of its probabilities.

    Attributes:
        key: the key of the case in the table of cases.
        title: what the case is.
        facts: the most important facts, in a line.
        label: the number of the true class.
        bars: the probabilities of all classes, for each run.
        picture: an image of the case, as bytes of a WebP file, with its width and height.
        seen: what each part of the picture shows, a line each.
    """

    key: str
    title: str
    facts: str
    label: int
    bars: Sequence[Sequence[float]]
    picture: tuple[bytes, int, int] | None = None
    seen: Sequence[str] = ()


@dataclass(frozen=True)
class CaseList:
    """A list of cases, with links to each.

    `compact` leaves the pictures out; `legend` adds the names of the classes.
    """

    kind: ClassVar[str] = "caselist"
    caption: str
    about: str
    cards: Sequence[CaseCard]
    compact: bool = False
    legend: bool = False


@dataclass(frozen=True)
class Row:
    """Columns of blocks, next to one another where there is room.

    `wide` is the least width of a column for that, in px.
    """

    kind: ClassVar[str] = "row"
    columns: Sequence[Sequence["Block"]]
    wide: int = 320


@dataclass(frozen=True)
class Picture:
    """A picture with a caption: the bytes of a WebP file, with its width and height in pixels."""

    kind: ClassVar[str] = "picture"
    caption: str
    image: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class CaseTable:
    """The place of the table of all cases."""

    kind: ClassVar[str] = "cases"


Block = Figures | Paragraph | DataTable | HeatMap | Chart | CaseList | Picture | Row | CaseTable


@dataclass(frozen=True)
class Section:
    """A section of a page, in the order of reading; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def heat_step(value: float, most: float, steps: int = 8) -> int:
    """Return the step of a value on a scale from 0 to `most`; negative for a negative value.

    >>> heat_step(0.0, 2.0), heat_step(0.1, 2.0), heat_step(2.0, 2.0), heat_step(-1.0, 2.0)
    (0, 1, 8, -4)
    """
    if most <= 0 or value == 0:
        return 0
    size = min(steps, max(1, round(steps * abs(value) / most)))
    return size if value > 0 else -size
