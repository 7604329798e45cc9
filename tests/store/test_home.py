"""The home: its schema, lock, leftovers and free space."""

import errno
import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from lsdc.errors import DataError, HomeBusyError, NoSpaceError
from lsdc.store.home import (
    SCHEMA,
    Home,
    build_lock,
    fold_lock,
    lend_lock,
    open_home,
    remove_leftovers,
    require_space,
    resolve_home,
)
from lsdc.store.put_aside import claim_fold
from tests.store.holding import held_elsewhere


def test_home_is_created_with_its_schema(tmp_path: Path) -> None:
    home = open_home(tmp_path / "new")
    assert json.loads((home.root / "home.json").read_text()) == {"schema": SCHEMA}
    assert open_home(home.root) == home


def test_newer_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text(json.dumps({"schema": SCHEMA + 1}))
    with pytest.raises(DataError, match=f"schema {SCHEMA + 1}.*update lsdc"):
        open_home(tmp_path)


def test_folder_with_other_files_is_not_a_home(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("")
    with pytest.raises(DataError, match=r"thesis\.docx.*choose another --home"):
        open_home(tmp_path)


def test_given_home_overrides_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_HOME", str(tmp_path / "environment"))
    assert resolve_home(None) == tmp_path / "environment"
    assert resolve_home(tmp_path / "asked") == tmp_path / "asked"
    monkeypatch.delenv("LSDC_HOME")
    monkeypatch.chdir(tmp_path)
    assert resolve_home(None) == tmp_path / "lsdc-home"


def build(root: Path) -> AbstractContextManager[object]:
    return build_lock(Home(root), wait=True, say=print)


def test_second_builder_waits_and_sees_the_process_of_the_first(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    with held_elsewhere(build, home.root) as (holder, release):
        with (
            pytest.raises(HomeBusyError, match=rf"process {holder.pid} on .* is using this home"),
            build_lock(home, wait=False, say=print),
        ):
            pass
        with (
            pytest.raises(HomeBusyError, match=rf"process {holder.pid} on .* is using this home"),
            build_lock(home, wait=True, timeout=0.2, say=print),
        ):
            pass
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            release.set()

        with build_lock(home, wait=True, say=say):
            assert f"process {holder.pid}" in said[0]


def test_killed_builder_leaves_no_lock(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    with held_elsewhere(build, home.root) as (holder, _):
        holder.kill()
        holder.join()
    with build_lock(home, wait=False, say=print):
        pass


def test_home_on_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    open_home(tmp_path)
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(DataError, match="its file system has no locks"):
        open_home(tmp_path)


def test_lent_lock_is_free_for_others_and_then_held_again(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    with build_lock(home, wait=True, say=print):
        with lend_lock(home, say=print), held_elsewhere(build, home.root):
            pass
        with pytest.raises(Timeout):
            FileLock(home.root / ".build.lock", is_singleton=False).acquire(timeout=0)


def test_lock_lent_by_a_failing_builder_stays_free(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    with (
        pytest.raises(KeyError),
        build_lock(home, wait=True, say=print),
        lend_lock(home, say=print),
    ):
        raise KeyError
    with build_lock(home, wait=False, say=print):
        pass


def test_leftovers_are_removed_except_in_a_fold_in_training(
    tmp_path: Path,
) -> None:
    home = open_home(tmp_path)
    for fold in range(2):
        claim_fold(home, "demo", fold, "a" * 64, say=print)
        (home.fold("demo", fold) / ".writing-resume.pt").touch()
    with fold_lock(home.fold("demo", 0), say=print):
        remove_leftovers(home)
        assert (home.fold("demo", 0) / ".writing-resume.pt").exists()
        assert not (home.fold("demo", 1) / ".writing-resume.pt").exists()
    remove_leftovers(home)
    assert not (home.fold("demo", 0) / ".writing-resume.pt").exists()


def test_missing_space_is_reported_before_writing(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError, match=r"crops needs 1000000\.00 GB, .* GB are free"):
        require_space(open_home(tmp_path), 10**15, what="crops")
