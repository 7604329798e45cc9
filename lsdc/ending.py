"""Ending: whether this process was told to end, which an interrupt tells its main thread alone.

Other threads would wait on for locks and children, and start more of these.
"""

import threading

_told = threading.Event()


def tell_to_end() -> None:
    """Have all threads end what they wait for."""
    _told.set()


def let_go_on() -> None:
    """Let them wait again."""
    _told.clear()


def pause(seconds: float) -> None:
    """Sleep, but not on once told to end."""
    _told.wait(seconds)


def is_told_to_end() -> bool:
    """Whether what is waited for is in vain."""
    return _told.is_set()
