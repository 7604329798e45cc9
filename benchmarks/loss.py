"""Does a loss that is closer to the metric give a better score at equal cost?

    python benchmarks/loss.py [--seeds 0 1 2] [--studies 120] [--epochs 10] [--last 3]
                              [--folder DIR] [--full] [--json]

On one phantom of hard geometry, with the competition's frequencies of grades and annotations that
scatter by 1.3 mm, each seed gives other folds and initial weights. Crops are cut around annotated
points, the same for all. The experiment is `demo`, trained for `--epochs` epochs in these ways:

    labels        the mean over all labels
    weighted      the same, with loss.condition_weights 2.75, 0.64, 0.58
    then_labels   `labels` for all but the `--last` epochs; these start from its weights, with a
                  tenth of the learning rate, and the same loss
    then_metric   the same, but the last epochs with the metric as the loss, in batches of studies

So the cost is the same, and `then_labels` is what `then_metric` is compared with. Figures are
out-of-fold scores, averaged over the seeds. `weighted_gain` is the score of `labels` minus that of
`weighted`, and `metric_gain` that of `then_labels` minus that of `then_metric`: above 0 is better.
`_low` and `_high` are the 95 % bounds from a bootstrap by study, with the same studies drawn for
both; a gain whose bounds include 0 is none. `--full` writes RESULTS.md.
"""

import argparse
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from geometry import FOLDS
from paired import compare, fill_with_prior
from results import record

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.coordinates.annotated import write_annotated
from lsdc.challenges.lumbar.folds import write_folds
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.scoring.prior import out_of_fold_prior
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.jobs.fold import train_fold
from lsdc.training.process import ignore
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom_index.indexing import build_index

SIZE, SCATTER_MM = 192, 1.3
WEIGHTED = "loss.condition_weights=[2.75, 0.64, 0.58]"
METRIC = ("loss.average=conditions", "loss.any_weight=1", "training.batch_by=study")
STUDIES = 4  # in a step of the last epochs; most have five levels
COMPARED = {"weighted": ("labels", "weighted"), "metric": ("then_labels", "then_metric")}


def main() -> None:
    """Write the phantom, train in all ways with every seed, and print scores and gains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--studies", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--last", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="to keep the phantom and the models in")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        if not (folder / "crops").exists():
            prepare(folder, options.studies)
        figures = measure(folder, options.seeds, options.epochs, options.last)
    if options.full:
        record("Loss", "python benchmarks/loss.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:20s} {value:.4f}")


def prepare(folder: Path, studies: int) -> None:
    """Write a phantom to the folder, and cut crops around its annotated points."""
    data, index, points = (folder / name for name in ("phantom", "index", "annotated"))
    grown = Order(
        studies=studies,
        test=0,
        seed=1,
        grades="real",
        max_size=SIZE,
        geometry="hard",
        scatter_mm=SCATTER_MM,
    )
    write_phantom(data, grown)
    competition = open_competition(data)
    for each in (index, points):
        each.mkdir()
    build_index(competition, "train", index)
    instances = pl.read_parquet(index / "instances.parquet")
    write_annotated(instances, competition.annotations, points)
    found, landmarks = (
        pl.read_parquet(points / f"{name}.parquet") for name in ("points", "landmarks")
    )
    measure_offsets(instances, found, competition.annotations, points, landmarks=landmarks)
    experiment = EXPERIMENTS.load("demo")
    slices = pl.read_parquet(points / "slices.parquet")
    cut_crops(
        instances,
        slices,
        experiment.slices,
        experiment.crops,
        folder / "crops",
        landmarks=landmarks,
    )


def measure(folder: Path, seeds: list[int], epochs: int, last: int) -> dict[str, float]:
    """Return the scores of all ways, averaged over the seeds, and the gains with their bounds."""
    scores: dict[str, list[float]] = {}
    gains: dict[str, list[np.ndarray]] = {name: [] for name in COMPARED}
    for seed in seeds:
        work = folder / f"seed-{seed}"
        work.mkdir(exist_ok=True)
        studies = pl.read_parquet(folder / "index" / "studies.parquet")
        labels = open_competition(folder / "phantom").labels
        write_folds(labels, studies, work, folds=FOLDS, seed=seed, strict=False)
        ways = train_in_all_ways(folder, work, seed, epochs, last)
        prior = out_of_fold_prior(labels, pl.read_parquet(work / "folds.parquet"))
        ways = {name: fill_with_prior(found, prior) for name, found in ways.items()}
        for name, (old, new) in COMPARED.items():
            pair = compare(labels, ways[old], ways[new])
            scores.setdefault(old, []).append(pair.first)
            scores.setdefault(new, []).append(pair.second)
            gains[name].append(np.append(pair.differences, pair.first - pair.second))
        known = compare(labels, prior, ways["labels"])
        scores.setdefault("prior", []).append(known.first)
    figures = {name: float(np.mean(found)) for name, found in scores.items()}
    for name, found in gains.items():
        mean = np.mean(found, axis=0)
        low, high = np.quantile(mean[:-1], [0.025, 0.975]).tolist()
        figures |= {f"{name}_gain": float(mean[-1]), f"{name}_low": low, f"{name}_high": high}
    return figures


def train_in_all_ways(
    folder: Path, work: Path, seed: int, epochs: int, last: int
) -> dict[str, pl.DataFrame]:
    """Return the out-of-fold predictions of each way."""
    rate = EXPERIMENTS.load("demo").training.learning_rate / 10
    whole, begun = [f"training.epochs={epochs}"], [f"training.epochs={epochs - last}"]
    then = [f"training.epochs={last}", f"training.learning_rate={rate}"]
    by_sample, by_study = f"training.batch_size={5 * STUDIES}", f"training.batch_size={STUDIES}"
    found = {}
    for name, start, settings in (
        ("labels", None, whole),
        ("weighted", None, [*whole, WEIGHTED]),
        ("begun", None, begun),
        ("then_labels", "begun", [*then, by_sample]),
        ("then_metric", "begun", [*then, by_study, *METRIC]),
    ):
        experiment = EXPERIMENTS.load("demo", settings)
        jobs = [
            FoldJob(
                experiment=experiment,
                fold=fold,
                crops=folder / "crops",
                labels=work / "labels.parquet",
                folds=work / "folds.parquet",
                out=work / f"{name}-{fold}",
                identity=f"seed {seed}, {start}, {experiment.model_dump_json()}",
                seed=seed,
                device="auto",
                threads=1,
                workers=0,
                start_from=work / f"{start}-{fold}" / "model.safetensors" if start else None,
            )
            for fold in range(FOLDS)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found[name] = pl.concat(pool.map(_train, jobs))
    return found


def _train(job: FoldJob) -> pl.DataFrame:
    """Train a fold, and return its out-of-fold predictions."""
    train_fold(job, log=job.out.with_suffix(".log"), on_event=ignore)
    return pl.read_parquet(job.out / "oof.parquet")


if __name__ == "__main__":
    main()
