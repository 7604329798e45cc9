"""The index of results: which result a stage has for a key, as JSON in the home.

A record says where a result lies and what its digests are. To read one runs nothing, whoever wrote
it, and whoever looks one up checks that its files stand.
"""

import logging
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lsdc.store.files import write_atomic

log = logging.getLogger(__name__)

ROOM = "results"


class Result(BaseModel):
    """What a stage leaves behind, small enough to pass between tasks as JSON."""

    model_config = ConfigDict(frozen=True)

    def is_intact(self, home: Path) -> bool:
        """Whether everything that the result names is there, unchanged."""
        raise NotImplementedError


R = TypeVar("R", bound=Result)


def read_result(home: Path, stage: str, key: str, kind: type[R]) -> R | None:
    """What is on record for a stage's key; None where nothing is, or nothing of that kind."""
    path = _path(home, stage, key)
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        log.warning("%s: no record of a result; the stage runs again", path)
        return None


def record_result(home: Path, stage: str, key: str, result: Result) -> None:
    """Put a stage's result on record for a key, in the place of an earlier one."""
    path = _path(home, stage, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as temporary:
        temporary.write_text(result.model_dump_json(exclude_none=True), encoding="utf-8")


def _path(home: Path, stage: str, key: str) -> Path:
    return home / ROOM / re.sub(r"\W+", "-", stage) / f"{key}.json"
