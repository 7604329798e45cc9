"""The process of a worker: `prefect worker start`, ending with its parent process.

python -P -m lsdc.cli.server.worker_child --pool POOL ...   # options of `prefect worker start`
"""

import sys

from lsdc.cli.server.parent_watchdog import end_with_parent


def main() -> None:
    """Work until asked to stop, or until the parent is gone."""
    end_with_parent()
    from prefect.cli import app

    from deployments.process_worker import LsdcWorker, drain_on_signal

    drain_on_signal()
    sys.argv[1:1] = ["worker", "start", "--type", LsdcWorker.type]
    app()


if __name__ == "__main__":
    main()
