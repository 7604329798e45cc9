"""Runs are distinguished and found by experiment, data and settings."""

import multiprocessing
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from lsdc.errors import DataError
from lsdc.names import require_run_name
from lsdc.store.experiment_lock import lock_experiment
from lsdc.store.home import Home, open_home
from lsdc.store.runs import RECORD, RunRecord, list_runs, locked_run_folder, read_record


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def of(
    data: str = "/data/ph",
    tables: str | None = "1",
    experiment: str = "demo",
    changed: dict[str, Any] | None = None,
    **settings: Any,
) -> RunRecord:
    settings = {"folds": 4, "seed": 0, "training.epochs": 6} | settings | (changed or {})
    return RunRecord(
        experiment=experiment,
        data=data,
        tables=tables,
        settings=settings,
        changed=changed or {},
        begun=datetime.now(UTC),
    )


def begin_run(
    home: Home, record: RunRecord, said: list[str] | None = None, *, train: bool = True
) -> str:
    def lock_folder(name: str) -> AbstractContextManager[None]:
        return lock_experiment(home, name, "settings", say=pytest.fail)

    told: list[str] = [] if said is None else said
    with locked_run_folder(home, record, lock_folder, say=told.append) as name:
        if train:
            home.fold(name, 0).mkdir(parents=True, exist_ok=True)
        return name


def test_same_run_is_found_again(home: Home) -> None:
    assert begin_run(home, of()) == "demo"
    assert begin_run(home, of()) == "demo"
    assert begin_run(home, of(experiment="mine")) == "mine"
    assert list(list_runs(home)) == ["demo", "mine"]


def test_runs_on_other_data_or_settings_get_folders_named_by_the_difference(home: Home) -> None:
    said: list[str] = []
    begin_run(home, of())
    assert begin_run(home, of("/other/ph2", "2"), said) == "demo@ph2"
    assert begin_run(home, of(folds=3), said) == "demo@folds-3"
    holds = "a new folder, because runs/demo holds demo on /data/ph, and this run has"
    assert said == [
        f"runs/demo@ph2: {holds} data /other/ph2",
        f"runs/demo@folds-3: {holds} folds=3",
    ]
    assert begin_run(home, of(changed={"training.epochs": 2})) == "demo@epochs-2"
    assert begin_run(home, of("phantom", None)) == "demo@phantom"
    assert begin_run(home, of("/third/ph2", "3")) == "demo@ph2-2"
    assert begin_run(home, of("/da ta/[x]*", "4")) == "demo@x"
    assert begin_run(home, of(folds=2, seed=3, holdout=0.1, **{"training.epochs": 9})) == "demo@2"
    assert begin_run(home, of("/other/ph2", "2", folds=3)) == "demo@ph2-folds-3"
    for record, name in ((of(), "demo"), (of(folds=3), "demo@folds-3")):
        assert begin_run(home, record) == name
    assert begin_run(home, of("/other/ph2", "2")) == "demo@ph2"


@pytest.mark.parametrize("folder", ["d" * 90, "con", "Aux.v2", "..."])
def test_run_has_a_valid_name_for_any_name_of_its_data_folder(home: Home, folder: str) -> None:
    begin_run(home, of())
    for changed in ({}, {"training.epochs": "a" * 60, "seed": "b" * 60}):
        for number in (1, 2):
            record = of(f"/data/{number}/{folder}", str(number), changed=changed)
            name = begin_run(home, record)
            require_run_name(name, "")
            assert name in list_runs(home)
            assert begin_run(home, record) == name


def test_moved_or_corrected_data_keep_the_folder_with_a_message(home: Home) -> None:
    said: list[str] = []
    begin_run(home, of("/data/ph", "1"))
    assert begin_run(home, of("/moved/ph", "1"), said) == "demo"
    assert begin_run(home, of("/moved/ph", "corrected"), said) == "demo"
    assert ["in /data/ph" in said[0], "have changed" in said[1], len(said)] == [True, True, 2]
    record = read_record(home.run("demo"))
    assert record is not None
    assert (record.data, record.tables) == ("/moved/ph", "corrected")


def test_run_with_equal_tables_is_preferred_to_one_with_the_same_path(home: Home) -> None:
    begin_run(home, of("/a", "1"))
    begin_run(home, of("/b", "2"))
    assert begin_run(home, of("/a", "2")) == "demo@b"


def test_folder_without_training_is_reused_unless_it_is_locked(home: Home) -> None:
    assert begin_run(home, of("/mistyped", None), train=False) == "demo"
    with lock_experiment(home, "demo", "settings", say=pytest.fail):
        assert begin_run(home, of("/data/ph", "1"), train=False) == "demo@ph"
    assert begin_run(home, of("/data/ph2", "2")) == "demo"


def test_new_setting_does_not_make_a_new_run(home: Home) -> None:
    begin_run(home, of())
    assert begin_run(home, of(**{"training.new": 1})) == "demo"


def test_run_of_an_earlier_version_is_continued(home: Home) -> None:
    home.fold("demo", 0).mkdir(parents=True)
    assert begin_run(home, of()) == "demo"
    assert begin_run(home, of("/other", "2")) == "demo@other"


def test_names_of_runs_never_differ_only_in_case(home: Home) -> None:
    begin_run(home, of())
    begin_run(home, of("/data/A", "2"))
    assert begin_run(home, of("/more/a", "3")) == "demo@a-2"


def test_other_entries_of_runs_are_not_listed(home: Home) -> None:
    begin_run(home, of())
    (home.runs / "my notes").mkdir()
    (home.runs / "file").write_text("")
    assert list(list_runs(home)) == ["demo"]


def test_damaged_record_is_an_error_with_its_path(home: Home) -> None:
    begin_run(home, of())
    (home.run("demo") / RECORD).write_text("{")
    with pytest.raises(DataError, match=r"run\.json: expected the description of a run.*remove"):
        begin_run(home, of())


def settle_at_once(root: Path, record: RunRecord, start: Barrier) -> None:
    start.wait()
    begin_run(Home(root), record)


def test_concurrent_runs_get_separate_folders(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    records = [of("/a", "1"), of("/b", "2"), of("/a", "1")]
    start = context.Barrier(len(records))
    processes = [
        context.Process(target=settle_at_once, args=(home.root, record, start))
        for record in records
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found = list_runs(home).values()
    assert sorted(record.data for record in found if record) == ["/a", "/b"]
    assert "demo" in list_runs(home)
