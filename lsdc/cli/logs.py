"""A run's log: everything that is said, Prefect's words included, in the home; kept short."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console

_BYTES, _KEPT = 5_000_000, 5
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _OnScreen(logging.Handler):
    """Warnings of this project, above the display."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = f"! {record.getMessage()}"
        self.console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def run_log(path: Path, console: Console | None, said: Sequence[str] = ()) -> Iterator[None]:
    """Write this project's and Prefect's log records to `path` while the block runs.

    Args:
        path: the log file.
        console: where warnings are printed too, if anywhere.
        said: what was said before there was a log.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_KEPT, encoding="utf-8")
    file.setFormatter(logging.Formatter(_FORMAT))
    for text in said:
        file.handle(
            logging.makeLogRecord(
                {"name": "lsdc.run", "levelno": logging.INFO, "levelname": "INFO", "msg": text}
            )
        )
    screens = [] if console is None else [_OnScreen(console)]
    ours = logging.getLogger("lsdc")
    ours.setLevel(logging.DEBUG)
    # Prefect keeps the records of its runs from its own root logger, so both are asked.
    theirs = [logging.getLogger(f"prefect{name}") for name in ("", ".flow_runs", ".task_runs")]
    attached: list[tuple[logging.Logger, logging.Handler]] = [
        *((ours, screen) for screen in screens),
        *((logger, file) for logger in (ours, *theirs)),
    ]
    for logger, handler in attached:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, handler in attached:
            logger.removeHandler(handler)
        file.close()
