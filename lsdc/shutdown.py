"""A process-wide shutdown flag: Python raises an interrupt in the main thread only.

Without the flag, other threads would keep waiting for locks and children, and start more of them.
"""

import threading

_told = threading.Event()


def request_shutdown() -> None:
    """Ask all threads to stop waiting."""
    _told.set()


def reset_shutdown() -> None:
    """Clear the request, so that threads may wait again."""
    _told.clear()


def pause(seconds: float) -> None:
    """Sleep, but return at once when a shutdown is requested."""
    _told.wait(seconds)


def shutdown_requested() -> bool:
    """Return whether a shutdown was requested."""
    return _told.is_set()
