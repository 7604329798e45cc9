"""No orphans: a process whose standard input is a pipe that its parent holds ends with it."""

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """From now on, have the parent's end be a SIGTERM to this process."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    # Returns at the pipe's end, however the parent ended; not through sys.stdin, whose lock the
    # thread would hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
