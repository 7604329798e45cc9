"""An experiment's folder is kept for one setting at a time, as long as a run of it lives."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lsdc.errors import HomeBusyError
from lsdc.store.experiment_lock import find_occupied, lock_experiment
from lsdc.store.home import open_home
from tests.store.holding import held_elsewhere


def run(root: Path) -> AbstractContextManager[object]:
    return lock_experiment(open_home(root), "demo", "some", say=print)


def test_runs_of_the_same_settings_share_and_one_of_others_waits_for_all(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        assert find_occupied(home) == ["demo"]
        release.set()

    with held_elsewhere(run, tmp_path) as (_, release):
        with (
            lock_experiment(home, "demo", "some", say=pytest.fail),
            lock_experiment(home, "baseline", "others", say=pytest.fail),
        ):
            assert find_occupied(home) == ["baseline", "demo"]
        assert find_occupied(home) == ["demo"]
        with (
            pytest.raises(HomeBusyError, match="a run with other settings is active"),
            lock_experiment(home, "demo", "others", wait=False, say=pytest.fail),
        ):
            pass
        with lock_experiment(home, "demo", "others", say=say):
            assert release.is_set()
    expected = f"demo: a run with other settings is active in {tmp_path}; waiting for it to end"
    assert said == [expected]
    assert find_occupied(home) == []


def test_killed_run_keeps_nobody_waiting(tmp_path: Path) -> None:
    with held_elsewhere(run, tmp_path) as (killed, _):
        killed.kill()
        killed.join()
    with lock_experiment(open_home(tmp_path), "demo", "others", say=pytest.fail):
        pass
