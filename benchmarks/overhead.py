"""What does Prefect add? The demo, compared with the same work without Prefect.

    python benchmarks/overhead.py [--repeats 1] [--data DIR] [--set KEY=VALUE ...] [--json]
                                  [--full]

`with` is the time of `lsdc run-local --folds 4` in a new home, from the start of the command to its
end. It includes Prefect's imports, the start and end of its server, cache keys, states, logs and
the CPU time of the server, but not the migration of Prefect's database in a user's first home.
`without` is the time of a process that calls the same flow without Prefect: a task is the function
that it decorates, a submitted task runs in a thread, and nothing is looked up, cached or reported
to a server. The time to import Prefect is subtracted, as the flows cannot be imported without it.
The fingerprints of shards are computed in both. Each repeat runs both, in alternating order, on a
machine without other work; the median of the repeats counts. `beyond_start_up` is the time that
Prefect adds beyond 15 s of start-up, as a fraction of `without`; it must be at most 0.05. `--full`
writes RESULTS.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

from results import record

START_UP_SECONDS = 15.0
# argv: data, home, then settings. Prints the seconds that importing Prefect took.
_WITHOUT = """
import sys, time
started = time.monotonic()
import prefect, prefect.artifacts, prefect.deployments, prefect.results, prefect.task_runners
imported = time.monotonic() - started
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
pool, shards = ThreadPoolExecutor(), ThreadPoolExecutor(1)
def submit(runner, task, parameters):
    return shards.submit(task.fn.__wrapped__, **parameters)
prefect.task_runners.ThreadPoolTaskRunner.submit = submit
for kind in ("progress", "table", "markdown"):
    setattr(prefect.artifacts, f"create_{kind}_artifact", lambda *a, **k: None)
from tasks.stage import Stage
Stage.__call__ = lambda stage, *a, **k: stage.fn(*a, **k)
Stage.submit = lambda stage, *a, **k: pool.submit(stage.fn, *a, **k)
from flows.pipeline import pipeline
data, home, *settings = sys.argv[1:]
pipeline.fn(data=Path(data), home=Path(home), folds=4, settings=settings)
print(imported)
"""


def main() -> None:
    """Run the demo with and without Prefect and print the difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--data", default="phantom", help="of a competition [the demo's phantom]")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    ways = {run_with: list[float](), run_without: list[float]()}
    for number in range(options.repeats):
        for way in list(ways)[:: -1 if number % 2 else 1]:
            ways[way].append(way(options.data, options.settings))
    with_prefect, without = map(statistics.median, ways.values())
    added = with_prefect - without
    figures = {
        "with_seconds": round(with_prefect, 1),
        "without_seconds": round(without, 1),
        "added_seconds": round(added, 1),
        "beyond_start_up": round((added - START_UP_SECONDS) / without, 4),
        "repeats": options.repeats,
    }
    if options.full:
        record(
            "Overhead", f"python benchmarks/overhead.py --repeats {options.repeats} --full", figures
        )
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:<18} {value}")


def run_with(data: str, settings: list[str]) -> float:
    """Return the seconds of the command in a new home."""
    changes = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as home:
        command = ["-m", "lsdc", "run-local", "--folds", "4", "--data", data, "--home", home]
        seconds, _ = _timed([*command, *changes])
    return seconds


def run_without(data: str, settings: list[str]) -> float:
    """Return the seconds of the same work without Prefect in a new home."""
    with tempfile.TemporaryDirectory() as home:
        seconds, imported = _timed(["-c", _WITHOUT, data, home, *settings])
    return seconds - float(imported.split()[-1])


def _timed(arguments: list[str]) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return time.monotonic() - started, done.stdout


if __name__ == "__main__":
    main()
