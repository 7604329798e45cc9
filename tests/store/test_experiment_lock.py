"""The folder of an experiment is locked for runs with equal settings while any is active."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lsdc.errors import HomeBusyError
from lsdc.store.experiment_lock import find_occupied, lock_experiment
from lsdc.store.home import open_home
from tests.store.holding import held_elsewhere


def run(root: Path) -> AbstractContextManager[object]:
    return lock_experiment(open_home(root), "demo", "some", say=print)


def test_runs_with_equal_settings_share_a_folder_and_others_wait(tmp_path: Path) -> None:
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


def test_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    with held_elsewhere(run, tmp_path) as (killed, _):
        killed.kill()
        killed.join()
    with lock_experiment(open_home(tmp_path), "demo", "others", say=pytest.fail):
        pass
