"""Read the logs of a run: how each attempt to run it ended, and the lines in the order of time."""

import heapq
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lsdc.errors import HomeBusyError, InterruptedRunError, ResumeLaterError
from lsdc.store.home import Home

# How the lines begin that frame an attempt.
BEGUN, STOPPED, ENDED = "command: ", "stopped", "ended with code "
CHILD = "child flow run "  # how the call of a flow run begins that another one started

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3} \w+ +lsdc: (.*)")
_STOP = re.compile(rf"{STOPPED}(?: in (?P<where>[^:]+))?: (?P<why>.*)")
_END = re.compile(rf"{ENDED}(\d+) after \d+ s")
_TAIL_BYTES = 1 << 16
_STATES = {
    0: "finished",
    InterruptedRunError.exit_code: "interrupted",
    ResumeLaterError.exit_code: "interrupted",
    HomeBusyError.exit_code: "postponed",
}


@dataclass
class Attempt:
    """An attempt to run something, as its log tells it.

    Attributes:
        log: the log file.
        begun: when it began.
        call: what was called: a command line, or a flow run.
        ended: when it ended; None while it runs, and if it was killed.
        code: its exit code; None while it runs, and if it was killed.
        where: the task runs that failed, or that it was in.
        why: why it did not succeed.
    """

    log: Path
    begun: datetime | None = None
    call: str = ""
    ended: datetime | None = None
    code: int | None = None
    where: str = ""
    why: str = ""

    @property
    def state(self) -> str:
        """How it ended; empty if its end is not in the log.

        It is finished, interrupted, postponed (a fold that found its home in use) or failed.
        """
        return "" if self.code is None else _STATES.get(self.code, "failed")

    def __str__(self) -> str:
        """Say in one line how it ended, where, when and why."""
        when = f" at {self.ended:%Y-%m-%d %H:%M:%S}" if self.ended else ""
        where = f" in {self.where}" if self.where else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.state}{where}{when}{why}"


def log_files(home: Home, run: str) -> list[Path]:
    """Return the logs of a run that exist: that of `lsdc run-local`, then those of flow runs."""
    own = home.logs / f"{run}.log"
    return [*([own] if own.is_file() else []), *sorted(flow_logs(home, run).glob("*.log"))]


def flow_logs(home: Home, run: str) -> Path:
    """Return the folder of the logs of a run's flow runs on workers."""
    return home.logs / run


def last_attempt(home: Home, run: str, *, tail: bool = False) -> Attempt | None:
    """Return the last attempt to run something; None without a log.

    A flow run that another one started is part of its attempt: if it failed first, it is the cause.

    Args:
        home: the home.
        run: the run's name.
        tail: whether to read only the ends of the logs; then the begin of the attempt may lack.
    """
    newest = [each[-1] for log in log_files(home, run) if (each := read_attempts(log, tail=tail))]
    if not newest:
        return None
    started_by_users = [each for each in newest if not each.call.startswith(CHILD)]
    last = max(started_by_users or newest, key=attempt_time)
    if last.state != "failed":
        return last
    since = last.begun or datetime.min
    failed = [each for each in newest if each.state == "failed" and attempt_time(each) >= since]
    cause = min(failed, key=attempt_time)
    return replace(last, ended=cause.ended, where=cause.where, why=cause.why)


def attempt_time(attempt: Attempt) -> datetime:
    """Return when an attempt ended, else when it began, to sort by."""
    return attempt.ended or attempt.begun or datetime.min


def read_attempts(log: Path, *, tail: bool = False) -> list[Attempt]:
    """Return the attempts in a log file, or those near its end; the first may lack its begin."""
    attempts: list[Attempt] = []
    with log.open("rb") as file:
        if tail:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        for raw in file:
            found = _LINE.match(raw.decode(errors="replace"))
            if found is None:
                continue
            when, text = datetime.fromisoformat(found[1]), found[2]
            if text.startswith(BEGUN):
                attempts.append(Attempt(log, begun=when, call=text.removeprefix(BEGUN)))
                continue
            if not attempts:
                attempts.append(Attempt(log))
            if stop := _STOP.fullmatch(text):
                attempts[-1].where, attempts[-1].why = stop["where"] or "", stop["why"]
            elif end := _END.fullmatch(text):
                attempts[-1].ended, attempts[-1].code = when, int(end[1])
    return attempts


def read_lines(logs: Iterable[Path], number: int) -> tuple[list[str], int]:
    """Return the last lines of several logs in the order of time, and how many come before."""
    count, last = 0, deque[str](maxlen=number)
    for _, line in heapq.merge(*map(_timed_lines, logs), key=lambda each: each[0]):
        count += 1
        last.append(line)
    return list(last), count - len(last)


def _timed_lines(log: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a log; one that continues another, as in a traceback, has its time."""
    time = ""
    earlier = [each for each in log.parent.glob(f"{log.name}.*") if each.suffix[1:].isdecimal()]
    for path in [*sorted(earlier, key=lambda each: -int(each.suffix[1:])), log]:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if found := _TIME.match(line):
                    time = found[0]
                yield time, line.rstrip("\n")
