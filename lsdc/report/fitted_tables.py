"""Tables that fit the terminal without truncation: columns wrap, are dropped, or move below."""

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

_LEAST_TEXT = 12  # minimum width of wrapped text, however narrow the terminal
_LONGEST_WORD = 24  # that is not split; a longer one, such as a path, may be, after its parts
_PART = re.compile(r"[^/@=,.:_-]*[/@=,.:_-]+\s*|[^/@=,.:_-]+")  # of a path or a name
_EDGE, _BETWEEN = 1, 2  # spaces before the first column, and after each


@dataclass(frozen=True)
class Column:
    """A column's heading and cells.

    Attributes:
        cells: the text of each row, of one line or of several.
        is_text: whether cells may be wrapped.
        rank: the column with the highest rank is dropped first for lack of room; 0 never is.
    """

    name: str
    cells: Sequence[str]
    style: str = ""
    is_text: bool = False
    rank: int = 0

    @property
    def _lines(self) -> list[str]:
        return [line for cell in self.cells for line in cell.split("\n")]

    @property
    def widest(self) -> int:
        """The width that wraps no line of a cell."""
        return max(map(len, [self.name, *self._lines]))

    @property
    def least(self) -> int:
        """The width that splits no number and no word of ordinary length."""
        heading = max(map(len, self.name.split()), default=0)
        if not self.is_text:
            return max([heading, *map(len, self._lines)])
        words = itertools.chain(*(cell.split() for cell in self.cells))
        parts = (len(part) for word in words for part in _parts(word, _LONGEST_WORD))
        longest = max((length for length in parts if length <= _LONGEST_WORD), default=0)
        return min(self.widest, max(_LEAST_TEXT, heading, longest))


@dataclass(frozen=True)
class FittedTable:
    """Columns in one table if they fit, else without the least important, else in several tables.

    Attributes:
        styles: row styles by row number.
        ends: numbers of the rows that have a rule below them.
    """

    columns: Sequence[Column]
    title: str = ""
    styles: Sequence[str] = ()
    ends: frozenset[int] = frozenset()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the tables, as Rich's protocol asks."""
        shown, left_out = _without_least(self.columns, options.max_width)
        if self.title:
            yield Text(self.title, style="bold")
        for block in _blocks(shown, options.max_width):
            yield self._table(block, options.max_width)
        if left_out:
            words = (
                f"not shown: {', '.join(left_out)}; a wider terminal or a pipe shows all columns"
            )
            yield Text(words, style="dim")

    def _table(self, columns: Sequence[Column], width: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        widths = _widths(columns, width)
        for column, wide in zip(columns, widths, strict=True):
            table.add_column(
                "\n".join(textwrap.wrap(column.name, wide)),
                width=wide,
                overflow="fold",
                style=column.style,
                justify="left" if column.is_text else "right",
            )
        for number, cells in enumerate(zip(*(each.cells for each in columns), strict=True)):
            style = self.styles[number] if self.styles else ""
            lines = map(_wrapped, columns, cells, widths)
            table.add_row(*map(Text, lines), style=style, end_section=number in self.ends)
        return table


def _wrapped(column: Column, cell: str, width: int) -> str:
    """Break a cell's text into lines; a word that is too long, such as a path, after its parts."""
    if not column.is_text:
        return cell
    return "\n".join(_wrapped_line(line, width) for line in cell.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    lines = [""]
    words = re.findall(r"\S+\s*", line)
    for part in itertools.chain(*(_parts(word, width) for word in words)):
        if len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines if line)


def _parts(word: str, width: int) -> list[str]:
    """Return the word, or its parts if it is too long; each ends with a separator."""
    return [word] if len(word.rstrip()) <= width else _PART.findall(word)


def _room(columns: Sequence[Column], width: int) -> int:
    return width - _EDGE - _BETWEEN * len(columns)


def _fits(columns: Sequence[Column], width: int) -> bool:
    return sum(column.least for column in columns) <= _room(columns, width)


def _without_least(columns: Sequence[Column], width: int) -> tuple[list[Column], list[str]]:
    shown, left_out = list(columns), []
    while not _fits(shown, width) and any(column.rank for column in shown):
        least = max(shown, key=lambda column: column.rank)
        shown.remove(least)
        left_out.append(least.name)
    return shown, left_out


def _blocks(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Split the columns into as many tables as needed, each beginning with the first column."""
    label, *others = columns
    block = [label]
    for column in others:
        if len(block) > 1 and not _fits([*block, column], width):
            yield block
            block = [label]
        block.append(column)
    yield block


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return column widths: shrink the widest wrappable ones first, down to their minimum."""
    widths = [column.widest for column in columns]
    room = _room(columns, width)
    while sum(widths) > room:
        spare = [wide - each.least for wide, each in zip(widths, columns, strict=True)]
        most = max(range(len(widths)), key=lambda place: (spare[place] > 0, widths[place]))
        if spare[most] <= 0:
            break
        widths[most] -= min(spare[most], sum(widths) - room)
    return widths
