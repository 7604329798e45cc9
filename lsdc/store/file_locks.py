"""File locks of the operating system, released when the process or host that holds them ends."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from lsdc.errors import InterruptedRunError
from lsdc.run_context import run_context

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def file_lock(path: Path, **options: Any) -> BaseFileLock:
    """Return a lock; `options` are passed to filelock.

    There is no fallback to filelock's soft lock, which stays behind when its host vanishes.
    """
    return FileLock(path, fallback_to_soft=False, **options)


def take_lock(lock: BaseFileLock, say: Callable[[], None]) -> None:
    """Take a lock; call `say` first if it has to wait.

    Raises:
        InterruptedRunError: a shutdown was requested meanwhile.
    """
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        say()
    try:
        lock.acquire(cancel_check=run_context().shutdown_requested)
    except Timeout:
        raise InterruptedRunError(f"{lock.lock_file}: stopped waiting, the run is ending") from None


def is_lockless(error: OSError) -> bool:
    """Return whether an error means that the file system has no locks."""
    return error.errno in _NO_LOCKS
