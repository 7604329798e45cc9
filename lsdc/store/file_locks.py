"""File locks: the file system's own, which end with the process or the host that holds them."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from lsdc.errors import InterruptedRunError
from lsdc.shutdown import shutdown_requested

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def file_lock(path: Path, **options: Any) -> BaseFileLock:
    """A lock; `options` are filelock's.

    No lock at all is better than filelock's soft one, which a host that vanishes leaves behind.
    """
    return FileLock(path, fallback_to_soft=False, **options)


def take_lock(lock: BaseFileLock, say: Callable[[], None]) -> None:
    """Take a lock, after a word if it has to be waited for.

    Raises:
        InterruptedRunError: the process was told to end meanwhile.
    """
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        say()
    try:
        lock.acquire(cancel_check=shutdown_requested)
    except Timeout:
        raise InterruptedRunError(f"{lock.lock_file}: not waited for, the run is ending") from None


def is_lockless(error: OSError) -> bool:
    """Whether it is the file system that has no locks."""
    return error.errno in _NO_LOCKS
