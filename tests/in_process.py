"""The work of child processes, done in the process of the test."""

import json
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from lsdc.training.events import read_event
from lsdc.training.process import Job, OnEvent, ignore


def run_jobs_here(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Let modules do their jobs in this process, since importing torch again takes seconds.

    Jobs, events and results pass through JSON, as between processes.
    """
    here = {"run_child": _run_here, "run_children": _run_all_here}
    for module in modules:
        for name in here.keys() & vars(module).keys():
            monkeypatch.setattr(module, name, here[name])


def _run_here(child: str, job: Job, *, on_event: OnEvent = ignore, **_: Any) -> dict[str, Any]:
    done = import_module(child).work(
        type(job).model_validate_json(job.model_dump_json()),
        lambda event: on_event(read_event(json.loads(event.model_dump_json()))),
    )
    return dict(json.loads(json.dumps(done)))


def _run_all_here(child: str, jobs: Sequence[Job], **options: Any) -> list[dict[str, Any]]:
    return [_run_here(child, job, **options) for job in jobs]
