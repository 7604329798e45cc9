"""Does the demo learn? Its out-of-fold score over seeds, compared with the weighted prior.

    python benchmarks/learning.py [--seeds 0 1 2] [--data DIR] [--home DIR] [--json]

Each seed gives other folds and initial weights. The score of the median seed must be at most 0.60
of the weighted prior's. Time and memory are of the whole command, all processes together
(proportional set size), including the phantom, which the first seed writes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from lsdc.store.home import Home
from lsdc.store.runs import list_runs


def run_demo(data: list[str], home: Path, seed: int) -> dict[str, float]:
    """Run the demo with a seed; return its score, the prior's, the seconds and the peak memory."""
    command = [sys.executable, "-P", "-m", "lsdc", "run-local"]
    options = ["--folds", "4", "--seed", str(seed), "--home", str(home), *data]
    started = time.monotonic()
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    peaks = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    if process.wait():
        raise SystemExit(f"the demo failed with seed {seed}; see {home}/logs")
    runs = list_runs(Home(home)).items()
    (name,) = (
        name for name, of in runs if of and of.settings["seed"] == seed
    )  # one folder per seed
    scores = json.loads((home / "runs" / name / "scores.json").read_text())
    prior = scores["weighted_prior"]["score"]
    return {
        "seed": seed,
        "score": scores["score"],
        "weighted_prior": prior,
        "ratio": scores["score"] / prior,
        "seconds": time.monotonic() - started,
        "peak_gib": max(peaks) / 2**30,
    }


def _watch(pid: int, peaks: list[int]) -> None:
    """Record the memory of all its processes twice a second until the process ends."""
    while psutil.pid_exists(pid):
        total = 0
        try:
            head = psutil.Process(pid)
            for process in [head, *head.children(recursive=True)]:
                total += process.memory_full_info().pss
        except psutil.Error:
            continue  # a process ended while it was read
        peaks.append(total)
        time.sleep(0.5)


def main() -> None:
    """Run the seeds one after the other and print their results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", help="of a competition [the demo's phantom]")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary) / "home"
        data = ["--data", options.data] if options.data else []
        rows = [run_demo(data, home, seed) for seed in options.seeds]
    median = statistics.median(row["ratio"] for row in rows)
    if options.json:
        print(json.dumps({"median_ratio": median, "seeds": rows}, indent=2))
        return
    for row in rows:
        print(
            f"seed {row['seed']}: score {row['score']:.4f}, prior {row['weighted_prior']:.4f}, "
            f"ratio {row['ratio']:.3f}, {row['seconds']:.0f} s, {row['peak_gib']:.2f} GiB"
        )
    print(f"median ratio {median:.3f}, expected at most 0.60")


if __name__ == "__main__":
    main()
