"""An experiment's folder is kept for one setting at a time, as long as a run of it lives."""

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from lsdc.errors import HomeBusyError
from lsdc.store.experiment_lock import find_occupied, lock_experiment
from lsdc.store.home import open_home


def hold(root: Path, held: Event, release: Event) -> None:
    with lock_experiment(open_home(root), "demo", "some", say=print):
        held.set()
        release.wait()


def test_runs_of_the_same_settings_share_and_one_of_others_waits_for_all(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    first = context.Process(target=hold, args=(tmp_path, held, release))
    first.start()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        assert find_occupied(home) == ["demo"]
        release.set()

    try:
        assert held.wait(60)
        with (
            lock_experiment(home, "demo", "some", say=pytest.fail),
            lock_experiment(home, "baseline", "others", say=pytest.fail),
        ):
            assert find_occupied(home) == ["baseline", "demo"]
        assert find_occupied(home) == ["demo"]
        with (
            pytest.raises(HomeBusyError, match="a run of other settings goes on"),
            lock_experiment(home, "demo", "others", wait=False, say=pytest.fail),
        ):
            pass
        with lock_experiment(home, "demo", "others", say=say):
            assert release.is_set()
    finally:
        release.set()
        first.join()
    assert said == [f"demo: a run of other settings goes on in {tmp_path}; waiting for it to end"]
    assert find_occupied(home) == []


def test_killed_run_keeps_nobody_waiting(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    killed = context.Process(target=hold, args=(tmp_path, held, release))
    killed.start()
    assert held.wait(60)
    killed.kill()
    killed.join()
    with lock_experiment(open_home(tmp_path), "demo", "others", say=pytest.fail):
        pass
