"""Does test-time augmentation pay? Score and time of each set of views, beside none.

    python benchmarks/tta.py --home DIR [--runs demo ...] [--rounds 3] [--full] [--json]

`DIR` is the home of finished runs (`lsdc run-local --home DIR`, with other seeds for more runs).
Every fold predicts its own studies, without views and with each set; nothing is trained. The sets
are

    mirror    the mirror image of the patient
    rotate    rotated by -10 and 10 degrees
    zoom      magnified by 0.9 and 1.1
    shift     slices shifted by one slot, up and down; left out if parts have one slot
    all       all of these

For each set, over all runs: its score; its `difference` to the score without views, with 95 %
bounds `low` and `high` from a bootstrap by study, the same studies drawn for both; `gain`, the
difference with its sign changed if the bounds exclude 0, else 0, as no gain is shown; and the
`seconds` of all folds, with the `ratio` to those without views, also of CPU time (`ratio_cpu`).
Times are medians over the rounds. `--full` writes RESULTS.md.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results import record

if TYPE_CHECKING:
    import polars as pl

    from lsdc.challenges.lumbar.config.experiment import Experiment
    from lsdc.challenges.lumbar.explain.trained import TrainedRun

SETS: dict[str, dict[str, Any]] = {
    "mirror": {"mirror": True},
    "rotate": {"rotate": (-10.0, 10.0)},
    "zoom": {"zoom": (0.9, 1.1)},
    "shift": {"slice_shift": (-1, 1)},
}


def main() -> None:
    """Measure all runs and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", help="names of runs [all of the home]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--full", action="store_true", help="write the figures to RESULTS.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options)
    if options.full:
        record("Test-time augmentation", "python benchmarks/tta.py --home HOME --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:20} {value:.4g}" if isinstance(value, float) else f"{name:20} {value}")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures by name."""
    import numpy as np
    import torch

    from lsdc.challenges.lumbar.explain.trained import TrainedRun
    from lsdc.challenges.lumbar.results import list_runs
    from lsdc.store.home import open_home

    torch.set_num_threads(options.threads)
    home = open_home(options.home)
    names = options.runs or list_runs(home.root)
    runs = [TrainedRun(home, name) for name in names]
    kinds = [
        name for name in SETS if name != "shift" or all(_widest(run.experiment) > 1 for run in runs)
    ]
    sets = {"none": dict[str, Any](), **{name: SETS[name] for name in kinds}}
    sets["all"] = {key: value for name in kinds for key, value in SETS[name].items()}
    taken = [measure_run(run, sets, options) for run in runs]

    figures: dict[str, Any] = {"runs": len(runs), "folds": sum(len(run.trained) for run in runs)}
    figures["none_score"] = statistics.mean(each["none"]["score"] for each in taken)
    figures["none_seconds"] = sum(each["none"]["seconds"] for each in taken)
    for name in list(sets)[1:]:
        mine = [each[name] for each in taken]
        low, high = np.quantile(np.mean([each["draws"] for each in mine], axis=0), [0.025, 0.975])
        seconds, cpu = (sum(each[key] for each in mine) for key in ("seconds", "cpu"))
        score = statistics.mean(each["score"] for each in mine)
        difference = score - figures["none_score"]
        figures |= {
            f"{name}_score": score,
            f"{name}_difference": difference,
            f"{name}_low": float(low),
            f"{name}_high": float(high),
            f"{name}_gain": -difference if low * high > 0 else 0.0,
            f"{name}_seconds": seconds,
            f"{name}_ratio": seconds / figures["none_seconds"],
            f"{name}_ratio_cpu": cpu / sum(each["none"]["cpu"] for each in taken),
        }
    return figures


def measure_run(
    run: "TrainedRun", sets: dict[str, dict[str, Any]], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return, for each set, score, seconds, CPU seconds, and draws of the difference to none.

    Rows without crops keep their prediction in the run's out-of-fold table, the prior.
    """
    import polars as pl
    from paired import compare

    from lsdc.challenges.lumbar.config.tta import TtaConfig

    rows: dict[str, pl.DataFrame] = {}
    oof = pl.read_parquet(run.folder / "oof.parquet")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sets}
    predict_folds(run, run.experiment, options)  # the first forward passes are slower
    for _ in range(options.rounds):
        for name, views in sets.items():
            tta = TtaConfig(**views)
            begun, busy = time.monotonic(), time.process_time()
            rows[name] = predict_folds(run, run.experiment.model_copy(update={"tta": tta}), options)
            times[name].append((time.monotonic() - begun, time.process_time() - busy))
    rest = oof.join(rows["none"], on="row_id", how="anti")
    rows = {name: pl.concat([each, rest.select(each.columns)]) for name, each in rows.items()}
    found = {}
    for name in sets:
        pair = compare(run.table("labels"), rows[name], rows["none"])
        seconds, cpu = (statistics.median(each) for each in zip(*times[name], strict=True))
        found[name] = {
            "score": pair.first,
            "seconds": seconds,
            "cpu": cpu,
            "draws": pair.differences,
        }
    return found


def predict_folds(
    run: "TrainedRun", experiment: "Experiment", options: argparse.Namespace
) -> "pl.DataFrame":
    """Return the predictions of each fold's own studies by its model."""
    import polars as pl

    from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
    from lsdc.challenges.lumbar.training.labels import keep_graded
    from lsdc.challenges.lumbar.training.network import build_model
    from lsdc.challenges.lumbar.training.samples import as_rows, as_samples, read_table
    from lsdc.challenges.lumbar.training.tta import predict_grades
    from lsdc.training.checkpoint import restore_weights
    from lsdc.training.device import pick_device

    crops, device = run.crops("train"), pick_device(options.device)
    samples = keep_graded(read_table(crops, "train"), experiment.labels)
    fold = pl.col("study_id").replace_strict(run.fold_of, default=None)
    model = build_model(experiment, pretrained=False).to(device)
    tables = []
    for number, folder in run.trained.items():
        restore_weights(model, folder / "model.safetensors", of=run.name)
        own = samples.filter(fold == number)
        found = predict_grades(model, as_samples(crops, own), experiment, device=device)
        tables.append(keep_graded(as_rows(own, found), experiment.labels))
    return pl.concat(tables).select("row_id", *PROBABILITIES)


def _widest(experiment: "Experiment") -> int:
    """Return the largest number of slots of a part."""
    slices = experiment.slices
    return max(slices.side_slices, slices.middle_slices, slices.axial_slices)


if __name__ == "__main__":
    main()
