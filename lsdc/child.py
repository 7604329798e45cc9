"""Start the module of a child process: `python -P -m lsdc.child MODULE [ARGUMENTS]`.

From its first moment on the child ends with its parent, which keeps the pipe of the child's stdin
open. The module itself may take seconds to load torch, on a busy machine minutes, and in that time
nothing else would end it.
"""

import os
import runpy
import select
import signal
import sys
import threading


def main() -> None:
    """Watch the parent, then run the module as if Python had been started with it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    """Wait until the other end of stdin is closed, then kill this process's group, which it leads.

    Nothing is read: the module reads its job there.
    """
    ended = select.poll()
    ended.register(sys.stdin.fileno(), 0)
    ended.poll()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
