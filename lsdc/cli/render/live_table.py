"""Display a run in progress: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lsdc.training.events import EpochDone, Resumed
from tasks.progress import Progress
from tasks.status.rows import FOLD, MARKS, Row, Rows, clock_words

_STYLES = {"✓": "green", "✗": "bold red", "-": "yellow"}
_BAR, _WORDS, _BETWEEN, _NARROW = 12, 24, 2, 60  # columns


class Display:
    """Display progress events; use it as a context manager around the run.

    Args:
        console: the console to print on.
        expected: the names of the expected task runs, as far as they are known.
    """

    def __init__(
        self,
        console: Console,
        expected: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console, self.progress = console, Rows(expected, clock)
        self._is_live = False
        self._live = Live(
            get_renderable=lambda: self.shown(live=self._is_live),
            console=console,
            refresh_per_second=4,
            transient=False,
        )

    @property
    def rows(self) -> dict[str, Row]:
        """The state of each task run, by name."""
        return self.progress.rows

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self._is_live = True
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_live = False  # the last display stays on the terminal, in full
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Handle one progress event."""
        known = progress.name in self.rows
        before = self.rows[progress.name].words if known else ""
        row = self.progress.update(progress)
        if row is not None and self._is_news(row, progress, before, was_known=known):
            self.console.print(_plain(row), highlight=False, soft_wrap=True)

    def _is_news(self, row: Row, progress: Progress, before: str, *, was_known: bool) -> bool:
        """Return whether the event gets a line of its own, above the table on a terminal."""
        if self.console.is_terminal:  # the next step would overwrite it in the table
            return isinstance(progress.event, Resumed)
        if progress.state is not None:
            return row.is_over or not was_known
        return isinstance(progress.event, EpochDone | Resumed) and row.words != before

    def shown(self, *, live: bool) -> Group:
        """Return the display: all rows, or in live mode a summary line and the rows that fit."""
        rows = list(self.rows.values())
        if not live:
            return Group(self._table(rows))
        words = _that_fit(self.progress.overall(), self.console.width)
        overall = Text(words, style="bold", no_wrap=True)
        return Group(overall, self._table(_in_sight(rows, self.console.height - 2)))

    def _table(self, rows: Sequence[Row]) -> Table:
        verdicts = [_verdict(row, short=self.console.width < _NARROW) for row in rows]
        names, ends = (
            max(map(len, words), default=0) for words in ([r.name for r in rows], verdicts)
        )
        room = self.console.width - len("✓") - names - ends - 4 * _BETWEEN
        widest = max((len(row.words) for row in rows if not row.is_over), default=0)
        with_bar = room >= _BAR + _BETWEEN + min(widest, _WORDS)  # text takes precedence over bars
        room -= (_BAR + _BETWEEN) * with_bar
        table = Table.grid(padding=(0, _BETWEEN, 0, 0))
        for row, verdict in zip(rows, verdicts, strict=True):
            mark = MARKS.get(row.state)
            bar = "" if mark else ProgressBar(total=1, completed=row.share, width=_BAR)
            has_text = not mark or row.name.startswith(FOLD)
            style = "dim" if mark == "✓" else _STYLES[mark] if mark else "cyan"
            table.add_row(
                Text(mark, style=_STYLES[mark]) if mark else self._spinner(),
                Text(row.name, style="bold" if not mark else "", no_wrap=True),
                *([bar] if with_bar else []),
                Text(_that_fit(row.parts, room) if has_text else "", style="dim", no_wrap=True),
                Text(verdict, style=style, no_wrap=True),
            )
        return table

    def _spinner(self) -> Spinner:
        plain = not self.console.encoding.lower().startswith("utf")
        return Spinner("line" if plain else "dots", style="cyan")


def _in_sight(rows: list[Row], lines: int) -> list[Row]:
    """Return the rows that fit into the lines; keep running ones, then those that ended last."""
    if len(rows) <= lines:
        return rows
    going = [row for row in rows if not row.is_over][-lines:]
    over = [row for row in rows if row.is_over]
    kept = {row.name for row in [*going, *over[len(over) - (lines - len(going)) :]]}
    return [row for row in rows if row.name in kept]


def _that_fit(parts: Sequence[str], room: int) -> str:
    """Join as many of the parts as fit in full."""
    shown = len(parts)
    while shown and len(", ".join(parts[:shown])) > room:
        shown -= 1
    return ", ".join(parts[:shown])


def _verdict(row: Row, *, short: bool = False) -> str:
    if row.state == "Cached":
        return "unchanged, kept"
    if row.is_over and row.state != "Completed":
        how = row.state.lower()
        return how if short else f"{how} after {clock_words(row.seconds)}"
    if row.is_over:
        return clock_words(row.seconds)
    return row.time_left or clock_words(row.seconds) + ("" if short else " so far")


def _plain(row: Row) -> str:
    if row.is_over:
        return f"{MARKS[row.state]} {row.name}: {_verdict(row)}"
    return f"  {row.name}: {', '.join(filter(None, [row.words, row.time_left]))}"
