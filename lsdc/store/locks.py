"""Locks between hosts that share a store, so that each result is made once.

Where the store is a path the locks are its file system's. Object storage has none: there they are
advisory locks of a PostgreSQL that all hosts reach. Either ends with the process that holds it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, LiteralString

from filelock import FileLock, Timeout

from lsdc.errors import SettingsError, StoreError
from lsdc.store.shared import SharedStore

if TYPE_CHECKING:
    import psycopg

DATABASE = "LSDC_DATABASE_URL"
_POLL_SECONDS = 0.5
# Of a host that vanished: its locks are free again so soon.
_KEEPALIVE = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}

Say = Callable[[str], None]


def require_locks(store: SharedStore) -> None:
    """Refuse a store without locks.

    Raises:
        SettingsError: it is no path, and no PostgreSQL is named.
    """
    if store.path is None:
        _database(store)


@contextmanager
def shared_lock(store: SharedStore, name: str, *, say: Say) -> Iterator[None]:
    """Hold `name` among all hosts of the store; who comes second waits, and says so.

    Raises:
        StoreError: PostgreSQL does not answer.
    """
    lock = _file_lock(store, name, say) if store.path else _advisory_lock(store, name, say)
    with lock:
        yield


@contextmanager
def _file_lock(store: SharedStore, name: str, say: Say) -> Iterator[None]:
    assert store.path is not None
    folder = store.path / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(_waiting(name))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _advisory_lock(store: SharedStore, name: str, say: Say) -> Iterator[None]:
    import psycopg

    # A database may serve several stores.
    number = int.from_bytes(sha256(f"{store.url} {name}".encode()).digest()[:8], signed=True)
    with _telling(store, name):
        connection = psycopg.connect(
            _database(store), autocommit=True, application_name="lsdc", connect_timeout=30
        )
    with closing(connection):
        with _telling(store, name):
            _wait(connection, number, lambda: say(_waiting(name)))
        try:
            yield
        finally:
            try:
                _ask(connection, "SELECT pg_advisory_unlock(%s)", number)
            except psycopg.Error as error:
                say(f"{name}: its lock was lost ({error}); another host may have made the same")


def _wait(connection: "psycopg.Connection[Any]", number: int, say: Callable[[], None]) -> None:
    for setting, value in _KEEPALIVE.items():
        connection.execute("SELECT set_config(%s, %s, false)", [setting, str(value)])
    said = False
    while not _ask(connection, "SELECT pg_try_advisory_lock(%s)", number):
        if not said:
            say()
        said = True
        time.sleep(_POLL_SECONDS)  # a wait in PostgreSQL would not hear that the run is cancelled


@contextmanager
def _telling(store: SharedStore, name: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise StoreError(
            f"{DATABASE}: PostgreSQL does not lock {name} for {store.url} ({error}); see that it "
            "can be reached from here"
        ) from error


def _ask(connection: "psycopg.Connection[Any]", query: LiteralString, number: int) -> bool:
    row = connection.execute(query, [number]).fetchone()
    assert row is not None
    return bool(row[0])


def _waiting(name: str) -> str:
    return f"{name}: another run makes it; waiting for it to end"


def _database(store: SharedStore) -> str:
    scheme, separator, rest = os.environ.get(DATABASE, "").partition("://")
    if not separator or scheme not in ("postgres", "postgresql", "postgresql+asyncpg"):
        raise SettingsError(
            f"--store {store.url}: object storage has no locks, so two hosts would make the same; "
            f"set {DATABASE}=postgresql://USER:PASSWORD@HOST/NAME to a PostgreSQL that all hosts "
            "reach, or use a path on a shared file system"
        )
    if find_spec("psycopg") is None:
        raise SettingsError(f"{DATABASE}: psycopg is not installed; pip install 'lsdc[s3]'")
    return f"postgresql://{rest}"
