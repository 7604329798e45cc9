"""Ending: whether this process was told to end, which an interrupt tells its main thread alone.

Other threads would wait on for locks and children, and start more of these.
"""

import threading

_told = threading.Event()


def request_shutdown() -> None:
    """Have all threads end what they wait for."""
    _told.set()


def reset_shutdown() -> None:
    """Let them wait again."""
    _told.clear()


def pause(seconds: float) -> None:
    """Sleep, but not on once told to end."""
    _told.wait(seconds)


def shutdown_requested() -> bool:
    """Whether what is waited for is in vain."""
    return _told.is_set()
