"""The process of a home's Prefect server; it ends with the process that started it.

python -P -m lsdc.cli.server_child PORT     # its standard input is a pipe that the parent holds
"""

import os
import signal
import sys
import threading

import uvicorn


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns at the pipe's end, however the parent ended
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve until told to end, or until the parent is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        lifespan="on",
        timeout_keep_alive=30,
    )


if __name__ == "__main__":
    main()
