"""Prevent orphans: end a process when its parent closes the pipe that is its standard input."""

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """From now on, send this process a SIGTERM when its parent ends."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    # Returns at the pipe's end, however the parent ended. Not sys.stdin: the thread would hold
    # its lock at interpreter shutdown.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
