"""Child process: write a fraction of a phantom's studies, printing one line per study.

`python -P -m lsdc.challenges.hemorrhage.phantom.worker ORDER` with a JSON object: root, share,
shares and the order's fields.
"""

import json
import sys
from pathlib import Path

from lsdc.challenges.hemorrhage.phantom.study import Order, plan_studies, write_study


def main(job_json: str) -> None:
    """Write every study whose number leaves the remainder `share` when divided by `shares`."""
    job = json.loads(job_json)
    root, share, shares = Path(job.pop("root")), job.pop("share"), job.pop("shares")
    order = Order(**job)
    for number, record in enumerate(plan_studies(order)):
        if number % shares == share:
            write_study(root, order, number, record)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
