"""Locks between hosts that share a store, so that each result is made once.

A store on a path uses the locks of its file system. Object storage has none, so it needs advisory
locks of a PostgreSQL that all hosts reach. Both are released when the process that holds them ends.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from filelock import BaseFileLock, Timeout
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from lsdc.errors import InterruptedRunError, SettingsError, StoreError
from lsdc.run_context import run_context
from lsdc.store.database import DATABASE, is_postgresql, parse_address
from lsdc.store.file_locks import file_lock, is_lockless, take_lock
from lsdc.store.remote import RemoteStore

if TYPE_CHECKING:
    import psycopg

_POLL_SECONDS = 0.5
# Retries while PostgreSQL is not reachable, for example during a restart: the pauses double, half a
# minute in total.
_ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 1.0
# After about a minute PostgreSQL releases the locks of a host that vanished.
_KEEPALIVE = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}

Say = Callable[[str], None]


def require_locks(store: RemoteStore) -> None:
    """Require that the store has locks.

    Raises:
        SettingsError: its file system has none, or it is object storage and no PostgreSQL is set.
    """
    if store.path is None:
        _database(store)
        return
    try:
        with suppress(Timeout), _lock_file(store.path, "probe").acquire(timeout=0):
            pass
    except OSError as error:
        if not is_lockless(error):
            raise StoreError(f"--store {store.path}: cannot be used ({error})") from error
        raise SettingsError(
            f"--store {store.path}: its file system has no locks ({error}), so two hosts could "
            "compute the same result; use a file system with locks, or object storage with a "
            "PostgreSQL"
        ) from error


def shared_lock(store: RemoteStore, name: str, *, say: Say) -> AbstractContextManager[None]:
    """Hold the lock `name` among all hosts of the store; call `say` before waiting for it.

    Raises:
        StoreError: PostgreSQL does not answer.
    """
    return (_file_lock if store.path else _advisory_lock)(store, name, say)


@contextmanager
def _file_lock(store: RemoteStore, name: str, say: Say) -> Iterator[None]:
    assert store.path is not None
    lock = _lock_file(store.path, name)
    take_lock(lock, lambda: say(_waiting(name)))
    try:
        yield
    finally:
        lock.release()


def _lock_file(store: Path, name: str) -> BaseFileLock:
    folder = store / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return file_lock(folder / f"{name}.lock")


@contextmanager
def _advisory_lock(store: RemoteStore, name: str, say: Say) -> Iterator[None]:
    import psycopg

    # The URL is hashed too, as one database may serve several stores.
    number = int.from_bytes(sha256(f"{store.url} {name}".encode()).digest()[:8], signed=True)
    with closing(_take(store, name, number, say)) as connection:
        try:
            yield
        finally:
            try:
                _ask(connection, "SELECT pg_advisory_unlock(%s)", number)
            except psycopg.Error as error:
                say(f"{name}: its lock was lost ({error}); another host may compute it as well")


def _take(store: RemoteStore, name: str, number: int, say: Say) -> "psycopg.Connection[Any]":
    """Return a connection that holds the lock; reconnect if it breaks before."""
    import psycopg

    while True:
        with _explain_errors(store, name):
            connection = _connect(store, name, say)
        with ExitStack() as failing:
            failing.enter_context(closing(connection))
            try:
                _wait(connection, name, number, say)
            except psycopg.OperationalError as error:
                say(f"{name}: lost the connection to PostgreSQL ({error}); reconnecting")
                run_context().sleep(_FIRST_PAUSE_SECONDS)
                continue
            failing.pop_all()
        return connection


def _connect(store: RemoteStore, name: str, say: Say) -> "psycopg.Connection[Any]":
    import psycopg

    def log_retry(attempt: RetryCallState) -> None:
        assert attempt.outcome is not None
        say(f"{name}: no connection to PostgreSQL ({attempt.outcome.exception()}); retrying")

    retrying = Retrying(
        retry=retry_if_exception_type(psycopg.OperationalError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=_FIRST_PAUSE_SECONDS),
        before_sleep=log_retry,
        sleep=run_context().sleep,
        reraise=True,
    )
    place = {"application_name": "lsdc", "connect_timeout": 30} | _database(store)
    return retrying(psycopg.connect, **place, autocommit=True)


def _wait(connection: "psycopg.Connection[Any]", name: str, number: int, say: Say) -> None:
    for setting, value in _KEEPALIVE.items():
        connection.execute("SELECT set_config(%s, %s, false)", [setting, str(value)])
    is_printed = False
    while not _ask(connection, "SELECT pg_try_advisory_lock(%s)", number):
        if not is_printed:
            say(_waiting(name))
        is_printed = True
        if run_context().shutdown_requested():
            raise InterruptedRunError(f"{name}: stopped waiting, the run is ending")
        # A wait inside PostgreSQL would not notice a cancelled run.
        run_context().sleep(_POLL_SECONDS)


@contextmanager
def _explain_errors(store: RemoteStore, name: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise StoreError(
            f"{DATABASE}: PostgreSQL does not lock {name} for {store.url} ({error}); check that "
            "this host can reach it"
        ) from error


def _ask(connection: "psycopg.Connection[Any]", query: LiteralString, number: int) -> bool:
    row = connection.execute(query, [number]).fetchone()
    assert row is not None
    return bool(row[0])


def _waiting(name: str) -> str:
    return f"{name}: another run is computing it; waiting for it to end"


def _database(store: RemoteStore) -> dict[str, Any]:
    """Return the arguments for psycopg, with the address parsed as Prefect's server parses it."""
    given = os.environ.get(DATABASE, "")
    if not is_postgresql(given):
        raise SettingsError(
            f"--store {store.url}: object storage has no locks, so two hosts could compute the "
            f"same result; set {DATABASE}=postgresql://USER:PASSWORD@HOST/NAME to a PostgreSQL "
            "that all hosts reach, or use a path on a shared file system"
        )
    if find_spec("psycopg") is None:
        raise SettingsError(f"{DATABASE}: psycopg is not installed; pip install 'lsdc[s3]'")
    url = parse_address(given, DATABASE)
    names = {"database": "dbname", "username": "user"}
    place = {names.get(name, name): value for name, value in url.translate_connect_args().items()}
    # The driver of Prefect's server has `ssl` where libpq has `sslmode`.
    more = {"sslmode" if name == "ssl" else name: value for name, value in url.query.items()}
    return place | {n: value if isinstance(value, str) else value[-1] for n, value in more.items()}
