"""Planted slices to train on, and training in the test process."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lsdc.challenges.hemorrhage.training import (
    occlusion,
    occlusion_child,
    predict,
    predict_child,
    train_fold,
    train_fold_child,
    train_sequence,
    train_sequence_child,
)
from lsdc.training.events import read_event
from lsdc.training.process import Job, OnEvent, ignore
from tests.challenges.hemorrhage.training.planted import Data, plant


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Return ten studies of six slices, of which nine are in folds."""
    return plant(tmp_path_factory.mktemp("slices"), studies=10, slices=6)


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the children's work in this process, since importing torch again takes seconds."""
    works: dict[str, Callable[[Any, OnEvent], dict[str, Any]]] = {
        train_fold.CHILD: train_fold_child.work,
        train_sequence.CHILD: train_sequence_child.work,
        predict.CHILD: predict_child.work,
        occlusion.CHILD: occlusion_child.work,
    }

    def run_here(module: str, job: Job, *, on_event: OnEvent = ignore, **_: Any) -> dict[str, Any]:
        done = works[module](
            type(job).model_validate_json(job.model_dump_json()),
            lambda event: on_event(read_event(json.loads(event.model_dump_json()))),
        )
        return dict(json.loads(json.dumps(done)))

    def run_all_here(
        module: str, jobs: list[Job], *, on_event: OnEvent, **_: Any
    ) -> list[dict[str, Any]]:
        return [run_here(module, job, on_event=on_event) for job in jobs]

    monkeypatch.setattr(train_fold, "run_children", run_all_here)
    monkeypatch.setattr(train_sequence, "run_child", run_here)
    monkeypatch.setattr(predict, "run_child", run_here)
    monkeypatch.setattr(occlusion, "run_child", run_here)
