"""Display a run in progress: a live table on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lsdc.cli.render.live_rows import MARKS, Row, clock_words
from lsdc.messages import counted
from lsdc.training.events import EpochDone, Resumed
from tasks.progress import Progress

_STYLES = {"✓": "green", "✗": "bold red", "-": "yellow"}
_BAR, _WORDS, _BETWEEN, _NARROW = 12, 24, 2, 60  # columns
_FOLD = "fold "


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
        self.console, self.expected = console, expected
        self.rows: dict[str, Row] = {}
        self._clock, self._started = clock, clock()
        self._without_row = 0
        self._is_live = False
        self._live = Live(
            get_renderable=lambda: self.shown(live=self._is_live),
            console=console,
            refresh_per_second=4,
            transient=False,
        )

    @property
    def ended(self) -> int:
        """The number of task runs that reached a final state."""
        return sum(row.is_over for row in self.rows.values()) + self._without_row

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
        self._without_row += progress.task_runs
        if progress.state == "Cancelled" and self._is_known_to_be_over(progress.name):
            return
        row = self.rows.setdefault(progress.name, Row(progress.name, self._clock))
        before = row.words
        row.update(progress)
        if not self.console.is_terminal and self._is_news(row, progress, before):
            self.console.print(_plain(row), highlight=False, soft_wrap=True)

    def _is_known_to_be_over(self, name: str) -> bool:
        """Return whether a task run has ended, or has no row of its own."""
        return name not in self.rows or self.rows[name].is_over

    def _is_news(self, row: Row, progress: Progress, before: str) -> bool:
        if progress.state is not None:
            return row.is_over
        return isinstance(progress.event, EpochDone | Resumed) and row.words != before

    def shown(self, *, live: bool) -> Group:
        """Return the display: all rows, or in live mode a summary line and the rows that fit."""
        rows = list(self.rows.values())
        if not live:
            return Group(self._table(rows))
        return Group(self._overall(), self._table(_in_sight(rows, self.console.height - 2)))

    def _overall(self) -> Text:
        """Return the progress of the whole run: stages, folds, time."""
        over = [name for name in self.expected if name in self.rows and self.rows[name].is_over]
        words = []
        if self.expected:
            stage = min(len(over) + 1, len(self.expected))
            words.append(f"stage {stage} of {len(self.expected)}")
        folds = [name for name in self.expected if name.startswith(_FOLD)]
        if folds:
            done = sum(self.rows[name].is_done for name in folds if name in over)
            words.append(f"{done} of {counted(len(folds), 'fold')} done")
            if (left := self._folds_left(folds)) is not None:
                words.append(f"{clock_words(left)} left for the folds")
        words.append(f"{clock_words(self._clock() - self._started)} so far")
        return Text(_that_fit(words, self.console.width), style="bold", no_wrap=True)

    def _folds_left(self, folds: Sequence[str]) -> float | None:
        """Estimate the seconds until all folds are trained, by the slowest; None if unknown."""
        begun = [self.rows[name] for name in folds if name in self.rows]
        going = [row for row in begun if not row.is_over]
        waiting = len(folds) - len(begun)
        left = {row.name: row.seconds_left() for row in going}
        known = [row.seconds for row in begun if row.state == "Completed"]
        known += [row.seconds + own for row in going if (own := left[row.name]) is not None]
        if not known or not (going or waiting):
            return None
        whole = max(known)
        own_left = [
            max(0.0, whole - row.seconds) if (own := left[row.name]) is None else own
            for row in going
        ]
        return max(own_left, default=0.0) + math.ceil(waiting / max(1, len(going))) * whole

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
            has_text = not mark or row.name.startswith(_FOLD)
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
    return _time_left(row) or clock_words(row.seconds) + ("" if short else " so far")


def _time_left(row: Row) -> str:
    """Format the time left, or `finishing` if all steps are done but the task still saves."""
    left = row.seconds_left()
    return "finishing" if row.share >= 1 else "" if left is None else f"{clock_words(left)} left"


def _plain(row: Row) -> str:
    if row.is_over:
        return f"{MARKS[row.state]} {row.name}: {_verdict(row)}"
    return f"  {row.name}: {', '.join(filter(None, [row.words, _time_left(row)]))}"
