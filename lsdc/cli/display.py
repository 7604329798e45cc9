"""What a run shows while it goes: a live table on a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tasks.progress import Progress, share_of_epochs, words_of_epoch

_MARKS = {"Completed": "✓", "Cached": "✓", "Failed": "✗", "Crashed": "✗", "TimedOut": "✗"}
_STYLES = {"✓": "green", "✗": "bold red"}


@dataclass
class Row:
    """One task run, as far as it is known."""

    name: str
    state: str = "Running"
    share: float = 0.0
    words: str = ""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the task run has reached a final state."""
        return self.state in _MARKS

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self.ended or time.monotonic()) - self.started

    def hear(self, progress: Progress) -> None:
        """Take in what the task told."""
        if progress.state is not None:
            self.state = progress.state
            self.ended = time.monotonic() if self.is_over else None
            return
        facts = progress.facts
        if progress.total:
            self.share = progress.done / progress.total
            self.words = f"{progress.done:,} of {progress.total:,}"
        elif "epochs" in facts:
            self.share = share_of_epochs(facts)
            if "loss" in facts:  # else it predicts, and the last loss and score stay in view
                self.words = words_of_epoch(facts)
        elif "paused" in facts:
            self.words = f"paused; goes on without {facts['paused']}"
        elif "files" in facts:
            self.share = facts["read"] / max(facts["files"], 1)
            self.words = f"reading {facts['read']:,} of {facts['files']:,}"

    def time_left(self) -> str:
        """How long it will take yet, once enough has been seen to tell."""
        if self.is_over or self.share < 0.02:
            return ""
        return f"{_clock(self.seconds * (1 - self.share) / self.share)} left"


class Display:
    """Listens to progress; use it as a context manager around the run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.rows: dict[str, Row] = {}
        self._without_row = 0
        self._live = Live(
            get_renderable=self._table, console=console, refresh_per_second=4, transient=False
        )

    @property
    def ended(self) -> int:
        """Task runs that reached a final state."""
        return sum(row.is_over for row in self.rows.values()) + self._without_row

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Hear one thing."""
        row = self.rows.setdefault(progress.name, Row(progress.name))
        before = row.words
        row.hear(progress)
        self._without_row += progress.task_runs
        if not self.console.is_terminal and self._is_news(row, progress, before):
            self.console.print(_plain(row), highlight=False, soft_wrap=True)

    def _is_news(self, row: Row, progress: Progress, before: str) -> bool:
        if progress.state is not None:
            return row.is_over
        return "score" in progress.facts and row.words != before

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for row in list(self.rows.values()):
            mark = _MARKS.get(row.state)
            table.add_row(
                Text(mark, style=_STYLES[mark]) if mark else Spinner("dots", style="cyan"),
                Text(row.name, style="bold" if not mark else ""),
                "" if mark else ProgressBar(total=1, completed=row.share, width=24),
                Text(row.words if not mark or row.name.startswith("fold") else "", style="dim"),
                Text(_verdict(row), style="dim" if mark == "✓" else "bold red" if mark else "cyan"),
            )
        return table


def _verdict(row: Row) -> str:
    if row.state == "Cached":
        return "unchanged, kept"
    if row.is_over:
        how = "" if row.state == "Completed" else f"{row.state.lower()} after "
        return how + _clock(row.seconds)
    return row.time_left() or _clock(row.seconds)


def _plain(row: Row) -> str:
    if row.is_over:
        return f"{_MARKS[row.state]} {row.name}: {_verdict(row)}"
    return f"  {row.name}: {row.words}, {row.time_left()}"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
