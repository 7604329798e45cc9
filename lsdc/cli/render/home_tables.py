"""Render what a home holds and what runs in it."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.text import Text

from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.home import Holder
from tasks.status.activity import Activity
from tasks.status.overview import Overview, RunStatus, Size
from tasks.status.rows import clock_words

_STYLES = {"running": "cyan", "failed": "red", "killed": "red", "interrupted": "yellow"}
_NEEDS_LOOK = ("failed", "killed", "interrupted")


def print_overview(found: Overview, server: tuple[str, bool] | None, console: Console) -> None:
    """Print the home, its server, what runs, its runs, and the sizes of what it holds."""
    for part in _parts(found, server):
        # Paths and commands stay whole, however narrow the terminal, to be copied.
        console.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))


def _parts(found: Overview, server: tuple[str, bool] | None) -> Iterator[RenderableType]:
    yield Text(str(found.home), style="bold", no_wrap=True)
    yield Text(_held(found))
    yield Text(_server_words(server))
    going = [each for run in found.runs for each in run.activities]
    if found.holder is not None:
        yield Text(f"{_who(found.holder)} has locked this home", style="cyan")
    for activity in going:
        yield from _activity(activity)
    if not going and found.holder is None:
        yield Text("nothing runs in this home")
    if found.runs:
        yield _runs_table(found.runs)
    else:
        yield Text("no runs yet; 'lsdc run-local' begins one")
    for run in found.runs:
        if run.last and (run.state in _NEEDS_LOOK or not run.data):
            yield Text(
                f"{run.name}: {run.last}", style=_STYLES.get(run.state, "yellow"), no_wrap=True
            )
    if found.stages:
        yield _sizes_table(found.stages)
    if found.others:
        largest = sorted(found.others, key=lambda each: each.bytes, reverse=True)
        words = ", ".join(f"{each.name} {_size(each)}" for each in largest)
        yield Text(f"other files: {words}", style="dim")


def _held(found: Overview) -> str:
    sizes = [*found.stages, *found.others]
    total = f"{_least(all(each.is_complete for each in sizes))}{decimal(_bytes(sizes))}"
    return f"{total}, {decimal(found.free_bytes)} left on its disk"


def _bytes(sizes: Sequence[Size]) -> int:
    return sum(each.bytes for each in sizes)


def _server_words(server: tuple[str, bool] | None) -> str:
    if server is None:
        return "no Prefect server runs for this home; 'lsdc ui' starts one"
    address, answers = server
    return (
        f"Prefect's UI: {address}/" if answers else f"{address}/ does not answer (a killed server)"
    )


def _who(process: Activity | Holder) -> str:
    since = process.begun.timestamp() if isinstance(process, Activity) else process.since
    age = clock_words(max(0.0, time.time() - since))
    return f"process {process.pid} on {process.host} (for {age})"


def _activity(activity: Activity) -> Iterator[Text]:
    yield Text.assemble(
        (f"{activity.run} is running", "bold cyan"), f": {', '.join(activity.overall)}"
    )
    for row in activity.doing:
        left = "" if row.seconds_left is None else f", {clock_words(row.seconds_left)} left"
        yield Text(f"  {row.name}: {row.words}{left}")
    silent = (datetime.now(UTC) - activity.updated).total_seconds()
    yield Text(f"  {_who(activity)}, seen {clock_words(max(0.0, silent))} ago", style="dim")


def _runs_table(runs: Sequence[RunStatus]) -> FittedTable:
    now = datetime.now(UTC)
    ages = [_age((now - run.changed).total_seconds()) for run in runs]
    columns = [
        Column("run", [run.name for run in runs], style="bold", is_text=True),
        Column("state", [run.state for run in runs], is_text=True),
        Column("score", [_figure(run.score) for run in runs]),
        Column("prior", [_figure(run.prior) for run in runs], rank=3),
        Column("marks", [", ".join(run.marks) for run in runs], style="yellow", is_text=True),
        Column("folds", [f"{len(run.trained)} of {run.folds or '?'}" for run in runs]),
        Column("age", ages, rank=1),
        Column("bad files", [_number(run.quarantined) for run in runs], rank=4),
        Column("size", [_size(run.size) for run in runs], rank=5),
        Column("data", [run.data or "?" for run in runs], is_text=True, rank=2),
    ]
    shown = [each for each in columns if each.name != "marks" or any(each.cells)]
    return FittedTable(shown, title="Runs", styles=[_STYLES.get(run.state, "") for run in runs])


def _sizes_table(sizes: Sequence[Size]) -> FittedTable:
    ages = [_age(time.time() - each.changed) for each in sizes]
    return FittedTable(
        [
            Column("results of", [each.name for each in sizes], is_text=True),
            Column("kept", [_number(each.results) for each in sizes]),
            Column("size", [_size(each) for each in sizes]),
            Column("age", ages, rank=1),
        ]
    )


def _size(size: Size) -> str:
    return f"{_least(size.is_complete)}{decimal(size.bytes)}"


def _age(seconds: float) -> str:
    """Return a time span in its largest unit: `now` for less than a minute."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def _least(is_complete: bool) -> str:
    return "" if is_complete else "at least "


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
