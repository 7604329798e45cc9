"""The process of a worker: `prefect worker start`, which ends with the process that started it.

python -P -m lsdc.cli.worker_child --pool POOL ...      # what `prefect worker start` takes
"""

import sys

from lsdc.cli.orphans import end_with_parent


def main() -> None:
    """Work until told to end, or until the parent is gone."""
    end_with_parent()
    from prefect.cli import app

    sys.argv[1:1] = ["worker", "start"]
    app()


if __name__ == "__main__":
    main()
