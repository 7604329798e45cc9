"""`lsdc logs`: how a run ended, then the last lines of its log."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import home_option
from lsdc.cli.streams import open_console
from lsdc.errors import GOES_ON, DataError
from lsdc.messages import counted, few
from lsdc.store.home import Home, look_at_home, resolve_home
from tasks.status.activity import Activity, read_activities
from tasks.status.attempts import (
    Attempt,
    attempt_time,
    last_attempt,
    log_files,
    read_attempts,
    read_lines,
)

_POLL_SECONDS = 0.5


def logs(
    run: Annotated[
        str | None,
        typer.Argument(
            help="Name of the run.",
            show_default="the one that wrote last",
            autocompletion=complete_runs,
        ),
    ] = None,
    lines: Annotated[
        int, typer.Option("-n", "--lines", metavar="N", min=1, help="Print the last N lines.")
    ] = 40,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print further lines until the run ends.")
    ] = False,
    home: Annotated[Path | None, home_option("Home of the run.")] = None,
) -> None:
    """Print the last failure of a run in one line, then the last lines of its log.

    A run of 'lsdc run-local' writes logs/RUN.log in the home. Each flow run on a worker writes
    logs/RUN/FLOW-RUN.log in the home of the worker; their lines are printed in the order of time.
    """
    opened = look_at_home(resolve_home(home))
    name = run or _newest(opened)
    files = log_files(opened, name)
    if not files:
        raise DataError(f"{opened.logs}: no log of {name}, expected {_expected(opened)}")
    console, sizes = open_console(), {file: file.stat().st_size for file in files}
    _print_end(opened, name, files, console)
    found, earlier = read_lines(files, lines)
    if earlier:
        where = ", ".join(map(str, files))
        console.print(
            f"... {counted(earlier, 'earlier line')}, in {where}", style="dim", soft_wrap=True
        )
    for line in found:
        _print_line(line, console)
    if follow:
        _follow(opened, name, sizes, console)


def _newest(home: Home) -> str:
    found = {path: path.stat().st_mtime for name in _names(home) for path in log_files(home, name)}
    if not found:
        raise DataError(f"{home.logs}: no log of a run; 'lsdc run-local' writes one")
    newest = max(found, key=lambda path: found[path])
    return newest.stem if newest.parent == home.logs else newest.parent.name


def _names(home: Home) -> list[str]:
    return [each.name for each in home.run_folders()]


def _expected(home: Home) -> str:
    return f"one of {few(there)}" if (there := _names(home)) else "a run, but there are none yet"


def _print_end(home: Home, name: str, files: list[Path], console: Console) -> None:
    """Print how the run ended, or that it runs, in one line; and its last failure if it is over."""
    last = last_attempt(home, name)
    if last is None:
        return
    if alive := _alive(home, name):
        doing = [f"{each.name} ({each.words})" for note in alive for each in note.doing]
        now = f"; now {few(doing)}" if doing else ""
        words, style = f"running since {last.begun}{now}", "cyan"
    elif not last.state:
        words, style = f"killed; it began at {last.begun}{_advice(last)}", "red"
    elif last.state == "finished":
        failed = [each for file in files for each in read_attempts(file) if each.why]
        before = f"; before that, {max(failed, key=attempt_time)}" if failed else ""
        words, style = f"{last}{before}", "green"
    else:
        style = "red" if last.state == "failed" else "yellow"
        words = str(last).removesuffix(f"; {GOES_ON}") + _advice(last)
    console.print(f"{name}: {words}", style=style, soft_wrap=True)


def _alive(home: Home, name: str) -> list[Activity]:
    """Return the notes of the processes that work on a run."""
    return [each for each in read_activities(home) if each.run == name and each.is_alive]


def _advice(attempt: Attempt) -> str:
    if attempt.call.startswith("lsdc "):
        return f"; to resume: {attempt.call}"
    return f"; to resume, press Retry in Prefect's UI ({attempt.call})" if attempt.call else ""


def _print_line(line: str, console: Console) -> None:
    style = "red" if " ERROR " in line[:34] else "yellow" if " WARNING " in line[:34] else ""
    console.print(line, style=style, soft_wrap=True)


def _follow(home: Home, name: str, places: dict[Path, int], console: Console) -> None:
    """Print what is added to the logs after these places until no process works on the run."""
    while True:
        alive = _alive(home, name)  # before the logs, so that those of its end are complete
        for file in log_files(home, name):
            place = places.get(file, 0)
            if file.stat().st_size < place:  # a new file was begun
                place = 0
            with file.open("rb") as log:
                log.seek(place)
                added = log.read()
            whole = added[: added.rfind(b"\n") + 1]
            places[file] = place + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                _print_line(line, console)
        if not alive:
            return
        time.sleep(_POLL_SECONDS)
