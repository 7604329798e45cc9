"""Write a run's log file in the home: all records, Prefect's included, kept short.

Each attempt to run begins with a line that says what was called, and ends with its exit code. If it
did not succeed, a line before says which task runs it was in, and why; see `tasks.status.attempts`.
"""

import logging
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console

from lsdc.errors import InterruptedRunError, LsdcError
from tasks.progress import hide_prefect_messages
from tasks.status.attempts import BEGUN, ENDED, STOPPED
from tasks.status.rows import Rows

KEPT = 5  # earlier files, numbered from the newest
_BYTES = 5_000_000
_FORMAT = "%(asctime)s %(levelname)-7s %(who)s: %(message)s"

_VERSIONS = ("lsdc", "prefect", "torch", "timm")


class _OnScreen(logging.Handler):
    """Print this project's warnings above the display."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = f"! {record.getMessage()}"
        self.console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


class _Named(logging.Formatter):
    """Prefix each record with its task run or flow run, if it has one."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a line."""
        record.who = next(filter(None, _names(record)), record.name)
        return super().format(record)


def _names(record: logging.LogRecord) -> Iterator[str | None]:
    yield getattr(record, "task_run_name", None)
    yield getattr(record, "flow_run_name", None)
    if "prefect.context" in sys.modules:  # else Prefect runs nothing in this process
        from prefect.context import FlowRunContext, TaskRunContext

        task, flow = TaskRunContext.get(), FlowRunContext.get()
        yield None if task is None else task.task_run.name
        yield None if flow is None or flow.flow_run is None else flow.flow_run.name


@contextmanager
def run_log(
    path: Path,
    console: Console | None,
    earlier: Sequence[str] = (),
    *,
    call: str | None = None,
    rows: Rows | None = None,
) -> Iterator[None]:
    """Write this project's and Prefect's log records to `path` while the block runs.

    They begin with the call and the versions, and end with the exit code and the run time.

    Args:
        path: the log file.
        console: where warnings are also printed; None for nowhere.
        earlier: messages from before the log was opened.
        call: what was called; by default the command line.
        rows: the task runs of the block, to say which of them failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(
        path,
        maxBytes=_BYTES,
        backupCount=KEPT,
        encoding="utf-8",
        errors="backslashreplace",  # file names may be undecodable
    )
    file.setFormatter(_Named(_FORMAT))
    screens = [] if console is None else [_OnScreen(console)]
    ours = logging.getLogger("lsdc")
    ours.setLevel(logging.DEBUG)
    hide_prefect_messages()
    attached: list[tuple[logging.Logger, logging.Handler]] = [
        *((ours, screen) for screen in screens),
        *((logger, file) for logger in (ours, logging.getLogger("prefect"))),
    ]
    for logger, handler in attached:
        logger.addHandler(handler)
    _write(file, BEGUN + (call or shlex.join(["lsdc", *sys.argv[1:]])))
    _write(file, "versions: " + ", ".join(f"{name} {version(name)}" for name in _VERSIONS))
    for text in earlier:
        _write(file, text)
    begun, code = time.monotonic(), 0
    try:
        yield
    except BaseException as error:
        code = _exit_code(error)
        kind = logging.WARNING if code == InterruptedRunError.exit_code else logging.ERROR
        _write(file, f"{STOPPED}{_where(rows)}: {_why(error)}", kind)
        raise
    finally:
        _write(file, f"{ENDED}{code} after {time.monotonic() - begun:.0f} s")
        for logger, handler in attached:
            logger.removeHandler(handler)
        file.close()


def _write(file: logging.Handler, words: str, kind: int = logging.INFO) -> None:
    """Write a line to the file directly: our loggers send records to Prefect only in flow runs."""
    # Also in a flow run, whose name others get: so `tasks.status.attempts` finds these lines.
    record = {"name": "lsdc", "task_run_name": "lsdc", "msg": words, "levelno": kind}
    file.handle(logging.makeLogRecord(record | {"levelname": logging.getLevelName(kind)}))


def _where(rows: Rows | None) -> str:
    """Return the task runs that failed, else those that were not over, for the line `STOPPED`."""
    names = [] if rows is None else rows.failed or rows.stopped
    return f" in {', '.join(names)}" if names else ""


def _why(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, LsdcError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _exit_code(error: BaseException) -> int:
    if isinstance(error, LsdcError):
        return error.exit_code
    return InterruptedRunError.exit_code if isinstance(error, KeyboardInterrupt) else 1
