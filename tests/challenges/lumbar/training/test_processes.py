"""A fold that several processes train together."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.errors import ChildDiedError, SettingsError
from lsdc.training.events import Event, StepDone
from tests.challenges.lumbar.training.random_crops import Data

pytestmark = pytest.mark.slow_training

BESIDE = ("cpu",)


def test_two_processes_train_a_fold_as_one_does(
    data: Data, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lines: list[Event] = []
    data.train(tmp_path / "two", beside=BESIDE, on_event=lines.append)
    request.getfixturevalue("same_process")
    data.train(tmp_path / "one")
    one, two = (
        {
            name: pl.read_parquet(tmp_path / folder / f"{name}.parquet")
            for name in ("steps", "history", "oof")
        }
        for folder in ("one", "two")
    )
    for name, table in one.items():
        other = two[name]
        assert other.schema == table.schema
        numbers = table.select(pl.selectors.float()).to_numpy()
        assert np.allclose(other.select(pl.selectors.float()).to_numpy(), numbers, rtol=1e-3)
    # One process reports, scores and writes.
    told = [event.loss for event in lines if isinstance(event, StepDone)]
    assert told == two["steps"]["loss"].to_list()
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1
    sizes = [
        [each["world_size"] for each in json.loads(file.read_text())["processes"]]
        for file in (tmp_path / "one" / "fit.json", tmp_path / "two" / "fit.json")
    ]
    assert sizes == [[1], [2]]


def test_all_processes_end_if_one_is_killed(data: Data, tmp_path: Path) -> None:
    def kill_second(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (1, 1):
            os.kill(second_of(children()), signal.SIGKILL)

    with pytest.raises(ChildDiedError, match=r"process 2 of 2: killed by SIGKILL"):
        data.train(tmp_path, beside=BESIDE, on_event=kill_second)
    assert children() == []


def test_device_that_one_process_lacks_is_named(data: Data, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="device: 'cuda:7' cannot be used here"):
        data.train(tmp_path, beside=("cuda:7",))
    assert children() == []


def children() -> list[int]:
    """Return the training processes that this one has started, in order."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in found}
    return [pid for pid, line in lines.items() if "train_fold_child" in line]


def second_of(pids: list[int]) -> int:
    assert len(pids) == 2
    return pids[1]
