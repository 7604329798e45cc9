"""How fast are the training engine, its data loading and the metric?

    python benchmarks/training.py [--full] [--rounds 4] [--json]

Ratios; both sides alternate for some rounds, and the best of each counts:

- `engine`: samples per second of CPU time, on one thread, of `lsdc.training.loop` divided by those
  of a bare loop (forward, backward, AdamW) with the same model, batches and augmentation on data in
  memory; at least 0.97. Curves, history and the check for finite values count for the engine;
  neither side validates or saves a checkpoint while it is timed.
- `loading`: samples per second of the engine's loader, divided by those of augmentation in one
  process times the number of workers, with exp118's settings; at least 0.8. One worker per core,
  less one core.
- `metric`: how many times faster the metric is than a version in pandas and scikit-learn on 49,375
  rows, and the difference of the two; at least 20, at most 1e-12.
- `folds`: seconds for as many folds as there are cores, including the start of processes: one after
  the other on all threads, divided by in parallel on one thread each. Above 1, `Run.in_groups` is
  right to train them in parallel. Measured once; other work on the machine affects it.
- `gpu`: if there is a GPU, exp118 in bfloat16 with one data worker per core, divided by a bare loop
  over one batch on the GPU; at least 0.97.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas
import polars as pl
import torch
from engine import NOISE, make_samples, measure_on, start_model, time_engine
from results import record
from sklearn.metrics import log_loss
from torch.nn.functional import cross_entropy

from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADE_WEIGHTS, GRADES, LEVELS
from lsdc.jobs.fold import train_fold
from lsdc.training.process import KEEP_MEMORY, ignore
from lsdc.training.samples import Augment, Samples, TrainingSteps

ROWS = 49_375
# The process that takes the batches needs a core, too.
WORKERS = max(1, (os.cpu_count() or 1) - 1)
EXPERIMENT, LOADED = EXPERIMENTS.load("demo"), EXPERIMENTS.load("exp118")
BATCH = EXPERIMENT.training.batch_size


def main() -> None:
    """Measure all figures and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="more rounds, written to RESULTS.md")
    parser.add_argument("--rounds", type=int, default=4, help="number of rounds without --full")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not KEEP_MEMORY.items() <= os.environ.items():  # as in the training children
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY)
    rounds = 9 if options.full else options.rounds
    torch.set_num_threads(1)
    figures = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, torch {torch.__version__}, one thread",
        **compare_on_gpu(),
        **compare("engine", "bare_loop", engine_rate, bare_rate, EXPERIMENT, rounds),
        **compare("loading", "augmentation", load_rate, augment_rate, LOADED, rounds),
        **compare_metrics(rounds),
        **compare_folds(epochs=6 if options.full else 2),
    }
    if options.full:
        record("Training", "python benchmarks/training.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:32} {value}")


def compare(
    ours: str,
    theirs: str,
    our_rate: Callable[[Samples], float],
    their_rate: Callable[[Samples], float],
    experiment: Experiment,
    rounds: int,
) -> dict[str, float]:
    """Return the best rate of both sides, measured alternately, and their ratio."""
    samples = make_samples(experiment)
    pairs = [(our_rate(samples), their_rate(samples)) for _ in range(rounds)]
    ours_best, theirs_best = (max(rates) for rates in zip(*pairs, strict=True))
    return {
        f"{ours}_samples_a_second": round(ours_best, 2),
        f"{theirs}_samples_a_second": round(theirs_best, 2),
        f"{ours}_ratio": round(ours_best / theirs_best, 3),
    }


def engine_rate(samples: Samples) -> float:
    """Return the rate of the engine, from its first step to its last."""
    return _rate(time_engine(EXPERIMENT, samples, clock=time.process_time))


def bare_rate(samples: Samples) -> float:
    """Return the rate of a loop that only trains."""
    model, augment = start_model(EXPERIMENT).train(), _augment(EXPERIMENT)
    weights = torch.tensor(EXPERIMENT.loss.grade_weights)
    optimiser = torch.optim.AdamW(model.parameters(), EXPERIMENT.training.learning_rate)
    moments = []
    for start in range(0, NOISE, BATCH):
        batch = [augment(samples[place], place) for place in range(start, start + BATCH)]
        columns = zip(*((one.slices, one.present, one.labels.grades) for one in batch), strict=True)
        slices, present, grades = (torch.from_numpy(np.stack(column)) for column in columns)
        logits = model(slices, present).grades
        loss = cross_entropy(logits.flatten(0, 1), grades.flatten(), weights)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # as the library's stubs have it
        optimiser.step()
        moments.append(time.process_time())
    return _rate(moments)


def _augment(experiment: Experiment) -> Augment:
    return PatientAugment(experiment.augment, experiment.slices)


def _rate(moments: list[float]) -> float:
    """Return samples per second by the faster steps, as other work slows some of them down."""
    return BATCH / float(np.quantile(np.diff(moments), 0.25))


def load_rate(samples: Samples) -> float:
    """Return the rate of the engine's loader once its processes run."""
    steps = TrainingSteps(
        samples, _augment(LOADED), batch_size=BATCH, accumulate=1, seed=0, workers=WORKERS
    )
    list(steps.of_epoch(1))
    began = time.perf_counter()
    loaded = sum(len(batch.places) for step in steps.of_epoch(2) for batch in step)
    return loaded / (time.perf_counter() - began)


def augment_rate(samples: Samples) -> float:
    """Return the rate of augmentation in this process times the number of loader processes."""
    augment = _augment(LOADED)
    began = time.perf_counter()
    for place in range(NOISE):
        augment(samples[place], place)
    return WORKERS * NOISE / (time.perf_counter() - began)


def compare_on_gpu() -> dict[str, object]:
    """Return the engine's figures on the first GPU, or that there is none."""
    if not torch.cuda.is_available():
        return {"gpu": "none at hand"}
    experiment = EXPERIMENTS.load("exp118", ["training.precision=bfloat16"])
    cores = os.cpu_count() or 1
    figures = measure_on(torch.device("cuda:0"), experiment, steps=60, workers=cores)
    return {"gpu": torch.cuda.get_device_name(0), **figures}


def compare_folds(epochs: int) -> dict[str, float]:
    """Compare folds of the demo's network in parallel and one after the other."""
    cores = max(2, os.cpu_count() or 1)
    config = EXPERIMENT.training.model_copy(update={"epochs": epochs})
    experiment = EXPERIMENT.model_copy(update={"training": config})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write_crops(folder, folds=cores)

        def train_one(fold: int, threads: int) -> None:
            train_fold(
                FoldJob(
                    experiment=experiment,
                    fold=fold,
                    crops=folder,
                    labels=folder / "labels.parquet",
                    folds=folder / "folds.parquet",
                    out=folder / f"{threads}-threads" / f"fold-{fold}",
                    identity="benchmark",
                    seed=0,
                    device="cpu",
                    threads=threads,
                    workers=0,
                ),
                log=folder / "log",
                on_event=ignore,
            )

        began = time.perf_counter()
        for fold in range(cores):
            train_one(fold, cores)
        between = time.perf_counter()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(partial(train_one, threads=1), range(cores)))
        ended = time.perf_counter()
    return {
        "folds": cores,
        "folds_one_after_the_other_seconds": round(between - began, 1),
        "folds_side_by_side_seconds": round(ended - between, 1),
        "folds_side_by_side_ratio": round((between - began) / (ended - between), 2),
    }


def _write_crops(folder: Path, folds: int) -> None:
    """Write random crops and labels as the stages before training do."""
    samples = make_samples(EXPERIMENT)
    table = pl.DataFrame(
        {
            "row": pl.Series(range(NOISE), dtype=pl.Int32),
            "split": ["train"] * NOISE,
            "study_id": [row // len(LEVELS) for row in range(NOISE)],
            "level": [str(LEVELS[row % len(LEVELS)]) for row in range(NOISE)],
            "side": pl.Series([None] * NOISE, dtype=pl.String),
            "mask": samples.present.tolist(),
        }
    )
    grades = {
        str(name): pl.Series(samples.labels.grades[:, k]) for k, name in enumerate(CONDITIONS)
    }
    labels = table.select("study_id", "level").with_columns(**grades)
    labels = labels.unpivot(
        index=["study_id", "level"], variable_name="condition", value_name="grade"
    )
    dealt = table.select("study_id").unique().with_columns(fold=pl.col("study_id") % folds)
    np.save(folder / "crops.npy", np.asarray(samples.slices))
    table.write_parquet(folder / "samples.parquet")
    labels.cast({"grade": pl.Int8}).write_parquet(folder / "labels.parquet")
    dealt.cast({"fold": pl.Int32}).write_parquet(folder / "folds.parquet")


def compare_metrics(rounds: int) -> dict[str, float]:
    """Return how much faster our metric is, and the difference of the scores."""
    random = np.random.default_rng(0)
    levels = pl.DataFrame({"study_id": range(ROWS // 25)}).join(
        pl.DataFrame({"condition": [str(condition) for condition in CONDITIONS]}), how="cross"
    )
    labels = levels.join(pl.DataFrame({"level": [str(level) for level in LEVELS]}), how="cross")
    labels = labels.with_columns(grade=pl.Series(random.choice(3, ROWS, p=[0.78, 0.16, 0.06])))
    grades = random.dirichlet([4, 1, 1], ROWS)
    columns = [str(grade) for grade in GRADES]
    predictions = labels.select(row_id()).hstack(pl.DataFrame(grades, schema=columns))
    theirs = labels.to_pandas(), predictions.to_pandas()
    ours_s, theirs_s, difference = [], [], 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        ours = score(labels, predictions).score
        ours_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        other = score_with_pandas(*theirs)
        theirs_s.append(time.perf_counter() - began)
        difference = max(difference, abs(ours - other))
    return {
        "metric_seconds": round(statistics.median(ours_s), 4),
        "metric_pandas_seconds": round(statistics.median(theirs_s), 4),
        "metric_ratio": round(statistics.median(theirs_s) / statistics.median(ours_s), 1),
        "metric_difference": difference,
    }


def score_with_pandas(labels: pandas.DataFrame, predictions: pandas.DataFrame) -> float:
    """Compute the score as a notebook would: row ids row by row, then `log_loss` per part."""
    columns = [str(grade) for grade in GRADES]
    truth = labels.copy()
    truth["row_id"] = truth.apply(lambda row: f"{row.study_id}_{row.condition}_{row.level}", axis=1)
    merged = truth.merge(predictions, on="row_id")
    merged[columns] = merged[columns].div(merged[columns].sum(axis=1), axis=0)
    merged["weight"] = merged["grade"].map(dict(enumerate(GRADE_WEIGHTS)))
    parts = []
    for name in ("spinal", "foraminal", "subarticular"):
        part = merged[merged["condition"].str.contains(name)]
        parts.append(
            log_loss(part["grade"], part[columns], sample_weight=part["weight"], labels=[0, 1, 2])
        )
    canal = merged[merged["condition"].str.contains("spinal")]
    studies = canal.groupby("study_id").agg(
        severe=("grade", lambda grade: int((grade == 2).any())),
        predicted=(columns[2], "max"),
        weight=("weight", "max"),
    )
    parts.append(
        log_loss(
            studies["severe"], studies["predicted"], sample_weight=studies["weight"], labels=[0, 1]
        )
    )
    return float(np.mean(parts))


if __name__ == "__main__":
    main()
