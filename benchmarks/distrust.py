"""How many wrong labels does `labels.distrust` find, and what does it bring to leave them out?

    python benchmarks/distrust.py --home DIR [--wrong 0.05] [--doubt 0.85] [--seeds 0 1 2]
        [--epochs N] [--full] [--json]

`DIR` is the home of a demo run (`lsdc run-local --home DIR`); its crops and folds are used. In each
seed, a part of the labels is exchanged for another grade. The judges are trained on these labels,
without two folds each, and doubt some. Then each fold is trained twice, on all labels and without
the doubted ones, and both are scored on the true labels.

- `precision`, `recall`: of the doubted labels, the wrong ones; of the wrong labels, the doubted
  ones. Each fold's doubts are counted, means over folds and seeds.
- `all_labels`, `without_doubted`: the out-of-fold scores on the true labels, means over seeds.
- `gain`, `gain_low`, `gain_high`: their difference, and its 95 % interval by a paired bootstrap by
  study; a resample has the same studies in all seeds. An interval that holds 0 shows no gain.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from demo_home import training_inputs
from paired import compare
from results import record

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.scoring.doubt import doubted_labels
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import GRADES
from lsdc.jobs.fold import train_fold
from lsdc.training.process import ignore

Pair = tuple[int, int]

_KEY = ["study_id", "condition", "level"]


@dataclass(frozen=True)
class Trainings:
    """What the trainings of a seed share.

    Attributes:
        crops: the folder with crops.npy.
        folds: the folds' Parquet file.
        work: the folder that they write to; it has labels.parquet.
        seed: the random seed.
    """

    crops: Path
    folds: Path
    work: Path
    seed: int

    def train(
        self,
        name: str,
        experiment: Experiment,
        fold: int,
        *,
        second_fold: int | None = None,
        judges: tuple[Path, ...] = (),
    ) -> Path:
        """Train a fold, or a judge of two folds, and return its folder."""
        out = self.work / name
        out.mkdir()
        job = FoldJob(
            experiment=experiment,
            fold=fold,
            second_fold=second_fold,
            crops=self.crops,
            labels=self.work / "labels.parquet",
            folds=self.folds,
            out=out,
            identity=name,
            seed=self.seed,
            device="auto",
            threads=1,
            workers=0,
            judges=judges,
        )
        train_fold(job, log=out / "log", on_event=ignore)
        return out


def main() -> None:
    """Plant wrong labels, find them and leave them out; print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--wrong", type=float, default=0.05)
    parser.add_argument("--doubt", type=float, default=0.85)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="[the demo's]")
    parser.add_argument("--full", action="store_true", help="record the figures in RESULTS.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    epochs = [f"training.epochs={options.epochs}"] if options.epochs else []
    trusting = EXPERIMENTS.load("demo", epochs)
    doubting = EXPERIMENTS.load("demo", [*epochs, f"labels.distrust={options.doubt}"])
    crops, folds = training_inputs(options.home)
    labels = pl.read_parquet(folds / "labels.parquet")
    found = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            planted = exchange_grades(labels, options.wrong, seed)
            planted.select(labels.columns).write_parquet(work / "labels.parquet")
            trainings = Trainings(crops, folds / "folds.parquet", work, seed)
            found.append(run_seed(trainings, trusting, doubting, planted))
    figures = sum_up(labels, found)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name}: {value:.4f}")
    if options.full:
        seeds = " ".join(map(str, options.seeds))
        record(
            "Wrong labels",
            f"python benchmarks/distrust.py --home DIR --seeds {seeds} --full",
            {name: round(value, 4) for name, value in figures.items()},
        )


def exchange_grades(labels: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """Give a part of the labels another grade, each with the same probability; add `is_wrong`."""
    random = np.random.default_rng(seed)
    graded = np.flatnonzero(labels["grade"].is_not_null().to_numpy())
    chosen = random.choice(graded, round(share * len(graded)), replace=False)
    grades = labels["grade"].to_list()
    for row in chosen:
        grades[row] = (grades[row] + random.integers(1, len(GRADES))) % len(GRADES)
    is_wrong = np.isin(np.arange(len(labels)), chosen)
    return labels.with_columns(
        pl.Series("grade", grades, dtype=labels.schema["grade"]), pl.Series("is_wrong", is_wrong)
    )


@dataclass(frozen=True)
class Found:
    """What came of a seed: precision and recall by fold, and the out-of-fold tables."""

    precision: list[float]
    recall: list[float]
    trusting: pl.DataFrame
    doubting: pl.DataFrame


def run_seed(
    trainings: Trainings, trusting: Experiment, doubting: Experiment, planted: pl.DataFrame
) -> Found:
    """Train the judges, then each fold with all labels and without the doubted ones."""
    folds = pl.read_parquet(trainings.folds)
    numbers = folds["fold"].unique().sort().to_list()
    share = doubting.labels.distrust
    assert share is not None

    def judge(pair: Pair) -> Path:
        name = "judge-{}-{}".format(*pair)
        return trainings.train(name, trusting, pair[0], second_fold=pair[1])

    def both(fold: int) -> tuple[Path, Path]:
        own = judges_of(fold, judges)
        return (
            trainings.train(f"trusting-{fold}", trusting, fold),
            trainings.train(f"doubting-{fold}", doubting, fold, judges=own),
        )

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        pairs = list(combinations(numbers, 2))
        judges = dict(zip(pairs, pool.map(judge, pairs), strict=True))
        trained = list(pool.map(both, numbers))
    precision, recall = [], []
    for fold in numbers:
        doubted = doubted_labels(judges_of(fold, judges), fold=fold, share=share)
        own = folds.filter(fold=fold)["study_id"].implode()
        others = planted.filter(~pl.col("study_id").is_in(own))
        hits = others.filter("is_wrong").join(doubted, on=_KEY, how="semi")
        precision.append(len(hits) / max(len(doubted), 1))
        recall.append(len(hits) / int(others["is_wrong"].sum()))
    tables = [
        pl.concat(pl.read_parquet(out / "oof.parquet") for out in outs)
        for outs in zip(*trained, strict=True)
    ]
    return Found(precision, recall, *tables)


def judges_of(fold: int, judges: Mapping[Pair, Path]) -> tuple[Path, ...]:
    """Return the judges that a fold needs."""
    return tuple(folder for pair, folder in judges.items() if fold in pair)


def sum_up(labels: pl.DataFrame, found: list[Found]) -> dict[str, float]:
    """Return the figures over all seeds; see the head of this file."""
    scores = [compare(labels, each.trusting, each.doubting) for each in found]
    # Each comparison draws the same studies.
    low, high = np.quantile(np.mean([each.differences for each in scores], axis=0), [0.025, 0.975])
    return {
        "precision": float(np.mean([each.precision for each in found])),
        "recall": float(np.mean([each.recall for each in found])),
        "all_labels": float(np.mean([each.first for each in scores])),
        "without_doubted": float(np.mean([each.second for each in scores])),
        "gain": float(np.mean([each.first - each.second for each in scores])),
        "gain_low": float(low),
        "gain_high": float(high),
    }


if __name__ == "__main__":
    main()
