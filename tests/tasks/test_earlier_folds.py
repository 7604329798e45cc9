"""Earlier folds are scored together with the one that a run trains."""

from pathlib import Path
from typing import Any

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from tasks.common.trainings import with_earlier_folds
from tasks.request import RunRequest
from tasks.run import open_run


def run_of(home: Path, **settings: Any) -> HemorrhageRun:
    request = RunRequest.of(experiment="ich-demo", data=None, home=home, folds=4, **settings)
    return open_run(HemorrhageRun, request)


def test_stored_folds_join_the_only_one_in_their_order(tmp_path: Path) -> None:
    asked = list[int]()

    def find(whole: HemorrhageRun, fold: int) -> str | None:
        assert whole.folds_to_train == (0, 1, 2, 3)
        asked.append(fold)
        return {0: "zero", 3: "three"}.get(fold)

    run = run_of(tmp_path, only_fold=2)
    assert with_earlier_folds(run, ["two"], find) == ["zero", "two", "three"]
    assert asked == [0, 1, 3]


def test_nothing_is_looked_for_in_a_run_of_all_folds(tmp_path: Path) -> None:
    trained = ["zero", "one", "two", "three"]

    def find(_: HemorrhageRun, fold: int) -> str:
        raise AssertionError(fold)

    assert with_earlier_folds(run_of(tmp_path), trained, find) == trained
