"""Attempts: a failure costs the study that causes it, and a cause outside of studies ends soon."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from lsdc.errors import ChildDiedError, SettingsError
from lsdc.pack.attempts import RunAttempt, Steps
from lsdc.pack.limits import TimeIsUpError
from lsdc.predict.workplace import Workplace
from lsdc.training.process import ignore

BATCH = 4
ROWS = 2  # of each study


class Queue:
    """A queue that predicts the study's own id, in batches, and dies of some studies."""

    poison: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._done: list[pl.DataFrame] = []

    @property
    def is_empty(self) -> bool:
        return not self._samples

    @property
    def predicted(self) -> pl.DataFrame:
        return pl.concat(self._done) if self._done else pl.DataFrame()

    def add(self, studies: Sequence[int]) -> None:
        self._samples += [study for study in studies for _ in range(ROWS)]

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
class FaultySteps(Steps[int, Queue]):
    """A run that predicts ids in place of images, with faults; it notes what is asked for."""

    key = "row_id"
    name = "demo"
    reading: Sequence[int] = ()
    late: bool = False
    no_device: bool = False
    asked: list[Sequence[int]] = field(default_factory=list)

    def open_queue(self, at: Workplace) -> Queue:
        assert at.folder.is_dir()
        return Queue()

    def prepare(self, ids: Sequence[int], queue: Queue, at: Workplace) -> None:
        assert at.folder.is_dir()
        self.asked.append(ids)
        if self.late:
            raise TimeIsUpError
        if self.no_device:
            raise SettingsError("device: 'cuda' cannot be used here")
        if set(ids) & set(self.reading):
            raise ChildDiedError("out of memory")
        queue.add(ids)


@pytest.fixture
def faults() -> FaultySteps:
    return FaultySteps()


@pytest.fixture
def attempt(faults: FaultySteps, tmp_path: Path) -> RunAttempt[int]:
    at = Workplace(tmp_path / "run", tmp_path / "log", "cpu", 1, ignore)
    return RunAttempt(faults, at)


def run(attempt: RunAttempt[int], blocks: Sequence[Sequence[int]]) -> None:
    """Predict some blocks of studies."""
    for number, block in enumerate(blocks):
        attempt.add(block, more=number + 1 < len(blocks))
    attempt.finish()


def predicted(attempt: RunAttempt[int]) -> set[int]:
    """Return the studies with predictions."""
    found = attempt.predictions
    return set(found["study_id"].to_list()) if len(found) else set()


def test_a_study_that_cannot_be_read_costs_itself(
    attempt: RunAttempt[int], faults: FaultySteps
) -> None:
    faults.reading = [3, 12]
    run(attempt, [range(1, 9), range(9, 14)])
    assert attempt.failed == {3: "out of memory", 12: "out of memory"}
    assert predicted(attempt) == attempt.reached == set(range(1, 14)) - {3, 12}
    assert len(faults.asked) <= 2 + 2 * 2 * 3  # halves, not one after the other


def test_a_study_whose_prediction_dies_costs_itself(
    attempt: RunAttempt[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Queue, "poison", frozenset([5, 13]))
    run(attempt, [range(1, 9), range(9, 14)])
    assert attempt.failed == {5: "killed by SIGKILL", 13: "killed by SIGKILL"}
    assert predicted(attempt) == attempt.reached == set(range(1, 14)) - {5, 13}


def test_a_run_that_fails_for_each_study_is_given_up(
    attempt: RunAttempt[int], faults: FaultySteps
) -> None:
    faults.reading = range(1, 300)
    run(attempt, [range(1, 65), range(65, 300)])
    assert attempt.is_given_up
    assert set(attempt.failed) == set(faults.reading)
    assert len(faults.asked) < 30


def test_the_end_of_the_time_is_not_taken_for_a_failure(
    attempt: RunAttempt[int], faults: FaultySteps
) -> None:
    attempt.add(range(1, 6), more=True)
    faults.late = True
    with pytest.raises(TimeIsUpError):
        attempt.add(range(6, 9), more=True)
    assert attempt.reached == {1, 2, 3}
    assert attempt.failed == {}


def test_a_setting_that_cannot_work_is_an_error_at_once(
    attempt: RunAttempt[int], faults: FaultySteps
) -> None:
    faults.no_device = True
    with pytest.raises(SettingsError, match="cannot be used here"):
        run(attempt, [range(1, 65), range(65, 300)])
    assert len(faults.asked) == 1
