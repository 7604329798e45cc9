"""What do predicted points cost, compared with annotated ones?

    python benchmarks/gap.py [--seeds 0 1 2] [--studies 40] [--min-steps 120] [--scatter 1.3]
                             [--folder DIR] [--full] [--json]

On one phantom, for each seed, folds are assigned and points and models trained, in three ways:

    predicted   trained and validated on crops around out-of-fold points, as test studies have them
    annotated   trained and validated on crops around annotated points, which test studies lack
    mixed       as in the lab log: trained on annotated points, validated on predicted ones

Points are trained for at least `--min-steps` steps.

Annotated points scatter about the truth as in the competition: there, left and right foramina of a
level are 1.2 and 1.4 mm (across and along the spine, robust standard deviation of one point) from
where a straight pair would be, and 62 % of subarticular pairs share their slice, as with such a
scatter and slices 4 mm apart. With `--scatter 0` they are at the true places.

`gap` is the score of `predicted` minus that of `annotated`, as a fraction of the latter, averaged
over the seeds; `gap_low` and `gap_high` are its 95 % bounds from a bootstrap by study, with the
same studies drawn for both. `mixed_gap` is the same for `mixed`. `--full` writes RESULTS.md.
"""

import argparse
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from geometry import FOLDS, SIZE, walk
from paired import compare, fill_with_prior
from results import record

from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.scoring.prior import out_of_fold_prior
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.jobs.fold import train_fold
from lsdc.jobs.predict import predict
from lsdc.training.process import ignore
from tests.challenges.lumbar.crops.cutting import cut_crops

EXPERIMENT = EXPERIMENTS.load("demo")
POINTS = ("predicted", "annotated")


def main() -> None:
    """Write the phantom, train in all ways with every seed, and print the gaps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--min-steps", type=int, default=CoordinatesConfig().min_steps)
    parser.add_argument(
        "--scatter", type=float, default=1.3, help="standard deviation of annotated points in mm"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder to keep the phantom, the models and the predictions in"
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        data = folder / "phantom"
        if not data.exists():
            write_phantom(
                data,
                Order(
                    studies=options.studies,
                    test=0,
                    seed=1,
                    max_size=SIZE,
                    scatter_mm=options.scatter,
                ),
            )
        config = CoordinatesConfig(min_steps=options.min_steps)
        figures = measure(data, folder, options.seeds, config)
    if options.full:
        scatter = options.scatter
        command = f"python benchmarks/gap.py --scatter {scatter:g} --full"
        record(f"Points, annotated {scatter:g} mm about the truth", command, figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:20s} {value:.4g}" if isinstance(value, float) else f"{name:20s} {value}")


def measure(
    data: Path, folder: Path, seeds: list[int], config: CoordinatesConfig
) -> dict[str, float]:
    """Return the three scores of every seed, and the gaps over all seeds."""
    figures: dict[str, float] = {}
    gaps: dict[str, list[np.ndarray]] = {"gap": [], "mixed_gap": []}
    for seed in seeds:
        work = folder / f"seed-{seed}"
        work.mkdir(exist_ok=True)
        ways = train_in_all_ways(data, work, seed, config)
        labels = pl.read_parquet(work / "labels.parquet")
        prior = out_of_fold_prior(labels, pl.read_parquet(work / "folds.parquet"))
        ways = {name: fill_with_prior(found, prior) for name, found in ways.items()}
        for name, way in (("gap", "predicted"), ("mixed_gap", "mixed")):
            pair = compare(labels, ways[way], ways["annotated"])
            figures |= {f"{way}_{seed}": pair.first, f"annotated_{seed}": pair.second}
            gaps[name].append(np.append(pair.differences, pair.first - pair.second) / pair.second)
    for name, shares in gaps.items():
        mean = np.mean(shares, axis=0)
        low, high = np.quantile(mean[:-1], [0.025, 0.975]).tolist()
        figures |= {name: float(mean[-1]), f"{name}_low": low, f"{name}_high": high}
    return figures


def train_in_all_ways(
    data: Path, work: Path, seed: int, config: CoordinatesConfig
) -> dict[str, pl.DataFrame]:
    """Return the out-of-fold predictions of each way."""
    walk(data, work, {}, config, seed=seed)
    instances = pl.read_parquet(work / "index" / "instances.parquet")
    crops = {points: _cut(instances, work, points) for points in POINTS}
    jobs = [(points, fold) for points in POINTS for fold in range(FOLDS)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        models = pool.map(lambda job: _train(work, crops, job[0], job[1], seed), jobs)
        trained = dict(zip(jobs, models, strict=True))
        mixed = pool.map(
            lambda fold: _predict(work, crops["predicted"], trained["annotated", fold], fold),
            range(FOLDS),
        )
        ways = {"mixed": pl.concat(mixed)}
    for points in POINTS:
        folds = [trained[points, fold] / "oof.parquet" for fold in range(FOLDS)]
        ways[points] = pl.concat([pl.read_parquet(fold) for fold in folds])
    return ways


def _cut(instances: pl.DataFrame, work: Path, points: str) -> Path:
    out = work / f"crops-{points}"
    out.mkdir(exist_ok=True)
    cut_crops(
        instances,
        pl.read_parquet(work / points / "slices.parquet"),
        EXPERIMENT.slices,
        EXPERIMENT.crops,
        out,
        landmarks=pl.read_parquet(work / points / "landmarks.parquet"),
    )
    return out


def _train(work: Path, crops: dict[str, Path], points: str, fold: int, seed: int) -> Path:
    out = work / f"fold-{fold}-{points}"
    train_fold(
        FoldJob(
            experiment=EXPERIMENT,
            fold=fold,
            crops=crops[points],
            labels=work / "labels.parquet",
            folds=work / "folds.parquet",
            out=out,
            identity=f"{points}, seed {seed}",
            seed=seed,
            device="auto",
            threads=1,
            workers=0,
        ),
        log=work / "children.log",
        on_event=ignore,
    )
    return out


def _predict(work: Path, crops: Path, model: Path, fold: int) -> pl.DataFrame:
    """Return a fold's predictions for its own studies on other crops."""
    folder = work / f"mixed-{fold}"
    folder.mkdir(exist_ok=True)
    own = pl.read_parquet(work / "folds.parquet").filter(fold=fold)["study_id"]
    samples = pl.read_parquet(crops / "samples.parquet")
    # The model predicts these studies as if they were test studies; the others are not used.
    samples = samples.with_columns(
        split=pl.when(pl.col("study_id").is_in(own.implode()))
        .then(pl.lit("test"))
        .otherwise(pl.lit("train"))
    )
    samples.write_parquet(folder / "samples.parquet")
    (folder / "crops.npy").unlink(missing_ok=True)
    (folder / "crops.npy").symlink_to(crops.absolute() / "crops.npy")
    predict(
        PredictJob(
            experiment=EXPERIMENT,
            models=(model,),
            crops=folder,
            out=folder / "predictions.parquet",
            device="auto",
            threads=1,
        ),
        log=work / "children.log",
        on_event=ignore,
    )
    return pl.read_parquet(folder / "predictions.parquet")


if __name__ == "__main__":
    main()
