"""The index of results: for each stage and key a JSON record in the home.

A record holds the location and digests of a result. Reading one never executes code, and callers
check that its files are intact.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as home:
...     record_result(Path(home), "crops (train)", "4f3a", Result())
...     [path.relative_to(home).as_posix() for path in Path(home).rglob("*.json")]
['results/crops-train-/4f3a.json']
"""

import logging
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lsdc.store.files import write_text

log = logging.getLogger(__name__)

ROOM = "results"


class Result(BaseModel):
    """A stage's result, small enough to pass between tasks as JSON."""

    model_config = ConfigDict(frozen=True)

    def is_intact(self, home: Path) -> bool:
        """Return whether all files of the result are there, unchanged."""
        raise NotImplementedError


R = TypeVar("R", bound=Result)


def read_result(home: Path, stage: str, key: str, kind: type[R]) -> R | None:
    """Return the record for a stage's key; None if there is none, or not one of that kind."""
    path = _path(home, stage, key)
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        log.warning("%s: not the record of a result; the stage runs again", path)
        return None


def record_result(home: Path, stage: str, key: str, result: Result) -> None:
    """Record a stage's result for a key, replacing an earlier one."""
    path = _path(home, stage, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, result.model_dump_json(exclude_none=True))


def _path(home: Path, stage: str, key: str) -> Path:
    return home / ROOM / re.sub(r"\W+", "-", stage) / f"{key}.json"
