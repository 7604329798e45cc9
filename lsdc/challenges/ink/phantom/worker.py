"""Child process: write a fraction of a phantom's fragments, printing one line per layer.

`python -P -m lsdc.challenges.ink.phantom.worker ORDER` with a JSON object: root, share, shares and
the order's fields.
"""

import json
import sys
from pathlib import Path

from lsdc.challenges.ink.phantom.fragment import write_fragment
from lsdc.challenges.ink.phantom.order import Order, plan_parts


def main(job_json: str) -> None:
    """Write every fragment whose number leaves the remainder `share` when divided by `shares`."""
    job = json.loads(job_json)
    root, share, shares = Path(job.pop("root")), job.pop("share"), job.pop("shares")
    order = Order(**job)
    for part in plan_parts(order):
        if part.number % shares == share:

            def tell(number: int = part.number) -> None:
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()

            write_fragment(root, order, part, tell)


if __name__ == "__main__":
    main(sys.argv[1])
