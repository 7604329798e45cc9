"""The process of a home's Prefect server; it ends with the process that started it.

python -P -m lsdc.cli.server_child PORT [HOST]
"""

import atexit
import gc
import os
import sys
from pathlib import Path

import uvicorn
from sqlalchemy import make_url

from lsdc.cli.orphans import end_with_parent


def main() -> None:
    """Serve until told to end, or until the parent is gone."""
    end_with_parent()
    atexit.register(gc.freeze)  # else Python collects all that libraries hold before it ends: 1 s
    _create_database()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host=sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        lifespan="on",
        timeout_keep_alive=30,
    )


def _create_database() -> None:
    url = make_url(os.environ["PREFECT_API_DATABASE_CONNECTION_URL"])
    if url.database and url.get_backend_name() == "sqlite":
        from lsdc.cli.server_database import create_database

        create_database(Path(url.database))


if __name__ == "__main__":
    main()
