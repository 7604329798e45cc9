"""Attempts: a failure costs the study that causes it, and a cause outside of studies ends soon."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from lsdc.challenges.lumbar.pack import attempts
from lsdc.challenges.lumbar.pack.attempts import RunAttempt
from lsdc.challenges.lumbar.pack.limits import TimeIsUpError
from lsdc.errors import ChildDiedError, SettingsError
from lsdc.predict.workplace import Workplace
from lsdc.training.process import ignore

BATCH = 4
ROWS = 2  # of each study


class Queue:
    """A queue that predicts the study's own id, in batches, and dies of some studies."""

    poison: frozenset[int] = frozenset()

    def __init__(self, _models: Any, at: Workplace) -> None:
        self._at, self._samples, self._done = at, [], []  # type: ignore[var-annotated]

    @property
    def predicted(self) -> pl.DataFrame:
        return pl.concat(self._done) if self._done else pl.DataFrame()

    def add(self, folder: Path) -> None:
        self._samples += [int(line) for line in (folder / "studies").read_text().split()]

    def predict_whole(self) -> None:
        self._predict(len(self._samples) // BATCH * BATCH)

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        self._predict(len(self._samples))
        return self.predicted, pl.DataFrame()

    def _predict(self, count: int) -> None:
        for first in range(0, count, BATCH):
            taken = self._samples[first : min(first + BATCH, count)]
            if self.poison.intersection(taken):
                raise ChildDiedError("killed by SIGKILL")
            rows = {"row_id": [f"{each}_{n}" for n, each in enumerate(taken)], "study_id": taken}
            self._done.append(pl.DataFrame(rows))
        self._samples = self._samples[count:]


@dataclass
class Faults:
    """Studies whose preparation fails, and what was asked for."""

    reading: Sequence[int] = ()
    late: bool = False
    no_device: bool = False
    asked: list[Sequence[int]] = field(default_factory=list)

    def prepare(self, ids: Sequence[int], _models: Any, folder: Path, _at: Workplace) -> Any:
        """Write the ids of the studies, one for each sample, or fail."""
        self.asked.append(ids)
        if self.late:
            raise TimeIsUpError
        if self.no_device:
            raise SettingsError("device: 'cuda' cannot be used here")
        if set(ids) & set(self.reading):
            raise ChildDiedError("out of memory")
        folder.mkdir()
        (folder / "studies").write_text(" ".join(str(each) for each in ids for _ in range(ROWS)))
        return SimpleNamespace(has_crops=True, folder=folder)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Let attempts prepare and predict ids instead of images."""
    planted = Faults()
    monkeypatch.setattr(attempts, "prepare", planted.prepare)
    monkeypatch.setattr(attempts, "SampleQueue", Queue)
    return planted


@pytest.fixture
def attempt(faults: Faults, tmp_path: Path) -> RunAttempt:
    """Return an attempt whose studies are only ids."""
    at = Workplace(tmp_path / "run", tmp_path / "log", "cpu", 1, ignore)
    models: Any = SimpleNamespace(name="demo")
    return RunAttempt(models, lambda ids: ids, at)  # type: ignore[arg-type,return-value]


def run(attempt: RunAttempt, blocks: Sequence[Sequence[int]]) -> None:
    """Predict some blocks of studies."""
    for number, block in enumerate(blocks):
        attempt.add(block, more=number + 1 < len(blocks))
    attempt.finish()


def predicted(attempt: RunAttempt) -> set[int]:
    """Return the studies with predictions."""
    found = attempt.predictions
    return set(found["study_id"].to_list()) if len(found) else set()


def test_a_study_that_cannot_be_read_costs_itself(attempt: RunAttempt, faults: Faults) -> None:
    faults.reading = [3, 12]
    run(attempt, [range(1, 9), range(9, 14)])
    assert attempt.failed == {3: "out of memory", 12: "out of memory"}
    assert predicted(attempt) == attempt.reached == set(range(1, 14)) - {3, 12}
    assert len(faults.asked) <= 2 + 2 * 2 * 3  # halves, not one after the other


def test_a_study_whose_prediction_dies_costs_itself(
    attempt: RunAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Queue, "poison", frozenset([5, 13]))
    run(attempt, [range(1, 9), range(9, 14)])
    assert attempt.failed == {5: "killed by SIGKILL", 13: "killed by SIGKILL"}
    assert predicted(attempt) == attempt.reached == set(range(1, 14)) - {5, 13}


def test_a_run_that_fails_for_each_study_is_given_up(attempt: RunAttempt, faults: Faults) -> None:
    faults.reading = range(1, 300)
    run(attempt, [range(1, 65), range(65, 300)])
    assert attempt.is_given_up
    assert set(attempt.failed) == set(faults.reading)
    assert len(faults.asked) < 30


def test_the_end_of_the_time_is_not_taken_for_a_failure(
    attempt: RunAttempt, faults: Faults
) -> None:
    attempt.add(range(1, 6), more=True)
    faults.late = True
    with pytest.raises(TimeIsUpError):
        attempt.add(range(6, 9), more=True)
    assert attempt.reached == {1, 2, 3}
    assert attempt.failed == {}


def test_a_setting_that_cannot_work_is_an_error_at_once(
    attempt: RunAttempt, faults: Faults
) -> None:
    faults.no_device = True
    with pytest.raises(SettingsError, match="cannot be used here"):
        run(attempt, [range(1, 65), range(65, 300)])
    assert len(faults.asked) == 1
