"""Does anything leak? Shuffled labels must not be predicted better than by a prior.

    python benchmarks/leak.py --home DIR [--epochs 30] [--json]

`DIR` is the home of a demo run (`lsdc run-local --home DIR`); its crops and folds are used. Every
fold is trained on labels shuffled between studies, and the out-of-fold score is compared with the
smoothed prior of the other folds, with the error of the difference from a bootstrap by study. A
score better than the prior by more than two errors is a leak. As a control, the same is done with a
planted leak, which has to be detected: each fold's own studies are added to its training set.
"""

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from demo_home import training_inputs
from paired import compare

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.scoring.prior import out_of_fold_prior
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.jobs.fold import train_fold
from lsdc.training.process import ignore

_TWIN = 10**12  # added to the id of a study that is planted in the training set


def main() -> None:
    """Train with and without the planted leak and print both verdicts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    crops, dealt = training_inputs(options.home)
    folds = pl.read_parquet(dealt / "folds.parquet")
    labels = shuffle(pl.read_parquet(dealt / "labels.parquet"))
    # Long enough for a model to memorise the answers, without augmentation, which hinders it.
    hindrances = ("mirror", "brightness_contrast", "blur", "noise", "distortion", "cutout")
    settings = [f"augment.{name}=0" for name in hindrances]
    experiment = EXPERIMENTS.load("demo", [*settings, f"training.epochs={options.epochs}"])
    results = {
        name: verdict(labels, folds, train(experiment, crops, labels, folds, planted=planted))
        for name, planted in (("honest", False), ("planted", True))
    }
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        for name, found in results.items():
            print(
                f"{name}: score {found['score']:.4f}, prior {found['prior']:.4f}, error "
                f"{found['error']:.4f}: {'LEAK' if found['leak'] else 'no leak'}"
            )
    sys.exit(bool(results["honest"]["leak"] or not results["planted"]["leak"]))


def shuffle(labels: pl.DataFrame) -> pl.DataFrame:
    """Give every study another study's labels."""
    studies = labels["study_id"].unique().sort().to_numpy()
    order = np.random.default_rng(0).permutation(len(studies))
    shifted = dict(zip(studies[order].tolist(), studies[np.roll(order, 1)].tolist(), strict=True))
    return labels.with_columns(pl.col("study_id").replace_strict(shifted)).sort(
        "study_id", "condition", "level"
    )


def train(
    experiment: Experiment,
    crops: Path,
    labels: pl.DataFrame,
    folds: pl.DataFrame,
    *,
    planted: bool,
) -> pl.DataFrame:
    """Return the out-of-fold predictions of all folds; `planted` trains on their studies too."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(cores) as pool:

        def one(fold: int) -> pl.DataFrame:
            work = Path(temporary) / str(fold)
            work.mkdir()
            _write_inputs(work, crops, labels, folds, fold if planted else None)
            train_fold(
                FoldJob(
                    experiment=experiment,
                    fold=fold,
                    crops=work,
                    labels=work / "labels.parquet",
                    folds=work / "folds.parquet",
                    out=work / "out",
                    identity="leak control",
                    seed=0,
                    device="auto",
                    threads=1,
                    workers=0,
                ),
                log=work / "log",
                on_event=ignore,
            )
            return pl.read_parquet(work / "out" / "oof.parquet")

        return pl.concat(pool.map(one, folds["fold"].unique().sort().to_list()))


def _write_inputs(
    work: Path, crops: Path, labels: pl.DataFrame, folds: pl.DataFrame, plant: int | None
) -> None:
    """Write the fold's tables; the studies of fold `plant` are repeated as training studies."""
    samples = pl.read_parquet(crops / "samples.parquet")
    if plant is not None:
        twins = folds.filter(fold=plant)["study_id"].implode()
        other = pl.lit(int(folds.filter(pl.col("fold") != plant)["fold"][0]), dtype=pl.Int32)
        folds = pl.concat([folds, _twin(folds, twins).with_columns(fold=other)])
        labels = pl.concat([labels, _twin(labels, twins)])
        samples = pl.concat([samples, _twin(samples, twins)])
    (work / "crops.npy").symlink_to(crops / "crops.npy")
    samples.write_parquet(work / "samples.parquet")
    labels.write_parquet(work / "labels.parquet")
    folds.write_parquet(work / "folds.parquet")


def _twin(table: pl.DataFrame, studies: pl.Series) -> pl.DataFrame:
    chosen = table.filter(pl.col("study_id").is_in(studies))
    return chosen.with_columns(pl.col("study_id") + _TWIN)


def verdict(labels: pl.DataFrame, folds: pl.DataFrame, oof: pl.DataFrame) -> dict[str, float]:
    """Return the scores of model and prior, and the bootstrap error of their difference."""
    found = compare(labels, oof, out_of_fold_prior(labels, folds))
    error = float(np.std(found.differences, ddof=1))
    return {
        "score": found.first,
        "prior": found.second,
        "error": error,
        "leak": found.first < found.second - 2 * error,
    }


if __name__ == "__main__":
    main()
