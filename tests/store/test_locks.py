"""Locks between hosts: one holder at a time; a lock is free when its holder is killed."""

import errno
import traceback
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lsdc.errors import InterruptedRunError, SettingsError, StoreError
from lsdc.run_context import own_run_context
from lsdc.store.locks import require_locks, shared_lock
from lsdc.store.remote import RemoteStore
from tests.store.holding import held_elsewhere


@pytest.fixture(params=["path", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RemoteStore:
    """Return a store on a path, with file locks, and one in S3, with locks in PostgreSQL."""
    if request.param == "path":
        return RemoteStore(str(tmp_path / "store"))
    monkeypatch.setenv("LSDC_DATABASE_URL", request.getfixturevalue("database"))
    return RemoteStore(f"s3://bucket/{tmp_path.name}")  # locks do not use the bucket


def make(url: str, name: str) -> AbstractContextManager[object]:
    return shared_lock(RemoteStore(url), name, say=print)


def test_second_host_waits_with_a_message(store: RemoteStore) -> None:
    with held_elsewhere(make, store.url, "crops-1") as (_, release):
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            release.set()

        with shared_lock(store, "crops-2", say=say):
            assert said == []
        with shared_lock(store, "crops-1", say=say):
            assert said == ["crops-1: another run is computing it; waiting for it to end"]


def test_killed_holder_leaves_no_lock(store: RemoteStore) -> None:
    with held_elsewhere(make, store.url, "crops-1") as (holder, _):
        holder.kill()
        holder.join()
        with shared_lock(store, "crops-1", say=print):
            pass


def test_waiting_ends_when_the_run_is_shut_down(store: RemoteStore) -> None:
    with (
        own_run_context() as run,
        held_elsewhere(make, store.url, "crops-1"),
        pytest.raises(InterruptedRunError, match="the run is ending"),
        shared_lock(store, "crops-1", say=lambda _: run.request_shutdown()),
    ):
        pass


def test_locks_of_two_stores_are_independent(database: str, monkeypatch) -> None:
    monkeypatch.setenv("LSDC_DATABASE_URL", database)
    with (
        shared_lock(RemoteStore("s3://bucket/one"), "crops-1", say=pytest.fail),
        shared_lock(RemoteStore("s3://bucket/two"), "crops-1", say=pytest.fail),
    ):
        pass


def test_lost_lock_is_reported(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setenv("LSDC_DATABASE_URL", database)
    said: list[str] = []
    with (
        shared_lock(RemoteStore("s3://bucket/lost"), "crops-1", say=said.append),
        psycopg.connect(database, autocommit=True) as admin,
    ):
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lsdc'"
        )
    assert len(said) == 1
    assert "its lock was lost" in said[0]


def test_unreachable_postgresql_is_an_error_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LSDC_DATABASE_URL", "postgresql://lsdc:geheim@127.0.0.1:1/none")
    monkeypatch.setattr("lsdc.store.locks._FIRST_PAUSE_SECONDS", 0.0)
    said: list[str] = []
    with (
        pytest.raises(StoreError, match="PostgreSQL does not lock crops-1") as refused,
        shared_lock(RemoteStore("s3://bucket/none"), "crops-1", say=said.append),
    ):
        pass
    assert len(said) == 5
    assert "geheim" not in f"{refused.value} {said}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
@pytest.mark.parametrize("password", ["ge%heim", "ge heim", "ge/heim#", "ge@heim"])
@pytest.mark.parametrize("place", ["127.0.0.1:1/none", "127.0.0.1:port/none", "[h/none?ssl=no"])
def test_password_is_in_no_error(
    scheme: str, password: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_DATABASE_URL", f"{scheme}://lsdc:{password}@{place}")
    monkeypatch.setattr("lsdc.store.locks._FIRST_PAUSE_SECONDS", 0.0)
    said: list[str] = []
    with (
        pytest.raises((SettingsError, StoreError)) as refused,
        shared_lock(RemoteStore("s3://bucket/none"), "crops-1", say=said.append),
    ):
        pass
    told = "".join(traceback.format_exception(refused.value)) + str(said)
    assert password.rpartition("@")[2] not in told


def test_address_is_parsed_like_by_the_server(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, rest = database.partition("://")
    monkeypatch.setenv(
        "LSDC_DATABASE_URL", f"postgresql+asyncpg://{rest}?ssl=disable&connect_timeout=20"
    )
    with shared_lock(RemoteStore("s3://bucket/prefix"), "crops-1", say=pytest.fail):
        pass


def test_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    store = RemoteStore(str(tmp_path / "store"))
    require_locks(store)
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(SettingsError, match="its file system has no locks"):
        require_locks(store)


def test_waiting_continues_after_a_lost_connection(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setenv("LSDC_DATABASE_URL", database)
    monkeypatch.setattr("lsdc.store.locks._FIRST_PAUSE_SECONDS", 0.0)
    url = "s3://bucket/away"
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            with psycopg.connect(database, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'lsdc' AND pid NOT IN (SELECT pid FROM pg_locks)"
                )
        else:
            release.set()

    with (
        held_elsewhere(make, url, "crops-1") as (_, release),
        shared_lock(RemoteStore(url), "crops-1", say=say),
    ):
        waiting, broken, *_ = said
    assert "another run is computing it" in waiting
    assert "reconnecting" in broken
