"""Locks between hosts: held once, waited for, and free when their holder is killed."""

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from lsdc.errors import StoreError
from lsdc.store.locks import shared_lock
from lsdc.store.shared import SharedStore


@pytest.fixture(params=["path", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SharedStore:
    """A store on a path, whose locks are files, and one whose locks are PostgreSQL's."""
    if request.param == "path":
        return SharedStore(str(tmp_path / "store"))
    monkeypatch.setenv("LSDC_DATABASE_URL", request.getfixturevalue("database"))
    return SharedStore(f"s3://bucket/{tmp_path.name}")  # locks do not ask for the bucket


def hold(url: str, name: str, held: Event, release: Event) -> None:
    with shared_lock(SharedStore(url), name, say=print):
        held.set()
        release.wait()


def test_second_host_waits_and_says_so(store: SharedStore) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(store.url, "crops-1", held, release))
    holder.start()
    try:
        assert held.wait(60)
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            release.set()

        with shared_lock(store, "crops-2", say=say):
            assert said == []
        with shared_lock(store, "crops-1", say=say):
            assert said == ["crops-1: another run makes it; waiting for it to end"]
    finally:
        release.set()
        holder.join()


def test_killed_holder_leaves_no_lock(store: SharedStore) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(store.url, "crops-1", held, release))
    holder.start()
    assert held.wait(60)
    holder.kill()
    holder.join()
    with shared_lock(store, "crops-1", say=print):
        pass


def test_same_name_in_another_store_is_another_lock(database: str, monkeypatch) -> None:
    monkeypatch.setenv("LSDC_DATABASE_URL", database)
    with (
        shared_lock(SharedStore("s3://bucket/one"), "crops-1", say=pytest.fail),
        shared_lock(SharedStore("s3://bucket/two"), "crops-1", say=pytest.fail),
    ):
        pass


def test_lock_that_was_lost_is_said(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setenv("LSDC_DATABASE_URL", database)
    said: list[str] = []
    with (
        shared_lock(SharedStore("s3://bucket/lost"), "crops-1", say=said.append),
        psycopg.connect(database, autocommit=True) as admin,
    ):
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lsdc'"
        )
    assert len(said) == 1
    assert "its lock was lost" in said[0]


def test_postgresql_that_does_not_answer_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LSDC_DATABASE_URL", "postgresql://lsdc:geheim@127.0.0.1:1/none")
    with (
        pytest.raises(StoreError, match="PostgreSQL does not lock crops-1") as refused,
        shared_lock(SharedStore("s3://bucket/none"), "crops-1", say=print),
    ):
        pass
    assert "geheim" not in str(refused.value)
