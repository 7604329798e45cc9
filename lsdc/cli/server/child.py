"""The process of a home's Prefect server; it ends with its parent process.

python -P -m lsdc.cli.server.child PORT [HOST]
"""

import atexit
import gc
import os
import socket
import sys
from pathlib import Path

import uvicorn
from sqlalchemy import make_url

from lsdc.cli.garbage import collect_seldom
from lsdc.cli.server.parent_watchdog import end_with_parent


def main() -> None:
    """Serve until asked to stop, or until the parent is gone."""
    end_with_parent()
    collect_seldom()
    atexit.register(gc.freeze)  # else Python's final garbage collection of all libraries takes 1 s
    _create_database()
    port, host = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    server = uvicorn.Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            host=host,
            port=port,
            log_level="warning",
            lifespan="on",
            timeout_keep_alive=30,
            workers=1,  # overrides WEB_CONCURRENCY, which is meant for other servers
        )
    )
    if host == "::":  # asyncio alone would listen on IPv6 only
        both = socket.has_dualstack_ipv6()
        listening = socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=both)
        server.run([listening])
    else:
        server.run()
    if not server.started:
        sys.exit(3)  # the exit code of uvicorn's own command


def _create_database() -> None:
    url = make_url(os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"])
    if url.database and url.get_backend_name() == "sqlite":
        from lsdc.cli.server.database import create_database, why_not_database

        create_database(Path(url.database))
        if reason := why_not_database(Path(url.database)):
            sys.exit(
                f"{url.database}: {reason}; this file holds only the history of runs: move it "
                "away, and a new one is created"
            )


if __name__ == "__main__":
    main()
