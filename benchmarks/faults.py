"""What does the death of a process cost? Kills parts of a real installation during runs.

    python benchmarks/faults.py [--kills 20] [--kinds KIND ...] [--installations 3] [--seed 0]
                                [--folder DIR] [--json] [--full]

An installation is everything that `lsdc up` starts (server, workers) with PostgreSQL and a password
on this machine. `--installations` run at the same time, as each waits a third of the time. Each run
trains one of a phantom's four folds. At a random moment of the run (of the training, for the first
kind) a part gets SIGKILL:

    training            the process that trains a fold
    worker              the worker of the GPU pool
    worker and run      the worker and the fold's run, as if a machine disappeared
    server              Prefect's server
    postgresql          PostgreSQL's postmaster, which is started again after 5 s

Or, during a training, the run is cancelled as in Prefect's UI:

    cancel              `gone_after` is the median, `gone_at_most` the longest time in seconds until
                        no training process was left

A run that does not complete by itself is retried, as in Prefect's UI. For each kind this prints
`kills`; `by_itself` and `one_retry`, which sum to `kills` if nothing was lost; `other_bits`, the
out-of-fold tables that differ from the undisturbed run's; `done_twice`, finished folds that were
trained again; `from_start`, interrupted trainings that did not resume from their checkpoint;
`seconds`, the median run time, to compare with `calm_seconds` of an undisturbed run. Needs
PostgreSQL's server installed. `--full` writes RESULTS.md.
"""

import argparse
import json
import random
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue

from results import record

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not an installed package
from tests.flows.faults import CANCEL, KINDS, Outcome, Undisturbed, prepared, undisturbed
from tests.postgres import has_postgresql

CRASH_AFTER = "60"
_KINDS = (*KINDS, CANCEL)


def main() -> None:
    """Prepare installations, kill their parts one after the other, and print the outcomes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="number of kills of each kind")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=_KINDS)
    parser.add_argument("--installations", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the undisturbed run here")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    if not has_postgresql():
        raise SystemExit("PostgreSQL's server is not installed: no initdb on the path")
    kills = Queue[tuple[str, int]]()
    for number in range(options.kills):
        for kind in options.kinds:
            kills.put((kind, number))
    with (
        tempfile.TemporaryDirectory() as temporary,
        ThreadPoolExecutor(options.installations) as pool,
    ):
        calm = undisturbed((options.folder or Path(temporary)) / "undisturbed")
        work = [
            pool.submit(kill_all, kills, calm, options.seed) for _ in range(options.installations)
        ]
        ended = [each.result() for each in work]
    outcomes = [outcome for _, became in ended for outcome in became]
    calm_seconds = statistics.median(seconds for seconds, _ in ended)
    figures: dict[str, object] = {"calm_seconds": round(calm_seconds)}
    for kind in options.kinds:
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        figures |= summarise(kind.replace(" ", "_"), own)
    if options.full:
        some = options.kinds != _KINDS
        title = f"Faults: {', '.join(options.kinds)}" if some else "Faults"
        kinds = " ".join(["", "--kinds", *map(shlex.quote, options.kinds)]) if some else ""
        command = f"python benchmarks/faults.py --kills {options.kills}{kinds} --full"
        record(title, command, figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:<28} {value}")


def kill_all(
    kills: "Queue[tuple[str, int]]", calm: Undisturbed, seed: int
) -> tuple[float, list[Outcome]]:
    """Disturb runs in a separate installation until no kill is left.

    Returns:
        (seconds of an undisturbed run, outcomes of the disturbed runs)
    """
    outcomes = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        prepared(Path(temporary), calm, "--crash-after", CRASH_AFTER) as faults,
        suppress(Empty),
    ):
        while True:
            kind, number = kills.get_nowait()
            outcomes.append(faults.disturb(kind, random.Random(f"{kind} {seed} {number}")))
            print(outcomes[-1], file=sys.stderr, flush=True)
    return faults.seconds, outcomes


def summarise(kind: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return the counts of outcomes."""
    completed = [outcome for outcome in outcomes if outcome.completed]
    counts: dict[str, float] = {
        "kills": len(outcomes),
        "by_itself": sum(outcome.retries == 0 for outcome in completed),
        "one_retry": sum(outcome.retries == 1 for outcome in completed),
        "other_bits": sum(not outcome.same_bits for outcome in outcomes),
        "done_twice": sum(len(outcome.twice) for outcome in outcomes),
        "from_start": sum(outcome.from_start for outcome in outcomes),
        "seconds": round(statistics.median(outcome.seconds for outcome in outcomes)),
    }
    if kind == CANCEL:
        gone = [outcome.gone_after for outcome in outcomes]
        counts |= {"gone_after": statistics.median(gone), "gone_at_most": max(gone)}
    return {f"{kind}_{name}": count for name, count in counts.items()}


if __name__ == "__main__":
    main()
