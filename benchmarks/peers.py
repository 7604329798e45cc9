"""Is the pipeline better than what others do, with the same folds and the same training time?

    python benchmarks/peers.py [--seeds 0 1 2] [--studies 120] [--minutes 3] [--min-steps 120]
                               [--folder DIR] [--full] [--json]

On one phantom of hard geometry (320 px at most), with the competition's frequencies of grades, so
that few are severe, annotations that scatter by 1.3 mm, and 5 % of the labels off by one grade, in
training and in the score. Each seed gives other folds, points and initial weights. Every way has
`--minutes` minutes of one core to train a fold: first two short trainings of each net measure what
an epoch costs, one net after the other, on a machine that should be quiet; then a way gets as many
epochs as fit, and however busy the machine is, the result is the same.

    starter     a public starter: whole stacks of slices as channels of one net (`starter.py`)
    annotated   crops around annotated points, and a net for each condition, a third of the time
                each; predicted on points that are found, as a test set has no annotated ones
    demo        the preset, on out-of-fold points
    joint       winners-joint, likewise
    set         winners-canal, -foraminal and -subarticular, likewise, a third of the time each

All have the backbone of the demo, untrained, and crops of 48 px; winners-... also its width and its
learning rate, steps of 8 samples, float32, and an average of weights that suits few steps. Learning
the points (`points_seconds` of a core a seed) comes in addition, for all but `starter`. Nothing
else was adapted to the phantom. But the settings of the demo are made for it, so compare `joint`
and `set` with `demo` with care. `--starter-rate` is the learning rate of the starter.

Figures are out-of-fold scores, averaged over the seeds, the prior's beside them. `_epochs` is the
mean number of epochs of a way's nets. `X_over_Y` is the score of Y minus that of X: above 0, X is
better. Its `_low` and `_high` are the 95 % bounds from a bootstrap by study, with the same studies
drawn for both; a difference whose bounds include 0 is none. In a `--folder` that is kept, a run
that was stopped goes on where it was. `--full` writes RESULTS.md.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl
from geometry import FOLDS, walk
from paired import compare, fill_with_prior
from results import record
from starter import Starter, train_and_predict, write_stacks

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.crops.frames import ERRORS, without_frames
from lsdc.challenges.lumbar.crops.marks import find_marks
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.scoring.prior import out_of_fold_prior
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from lsdc.jobs.fold import train_fold
from lsdc.jobs.predict import predict
from lsdc.store.files import write_atomic
from lsdc.store.fingerprint import fingerprint
from lsdc.training.process import ignore
from tests.challenges.lumbar.crops.cutting import cut_crops

SIZE, SCATTER_MM, WRONG = 320, 1.3, 0.05
DEMO = EXPERIMENTS.load("demo")
SMALL = (
    f"model.backbone={DEMO.model.backbone}",
    "model.pretrained=false",
    f"model.width={DEMO.model.width}",
    f"crops.size_px={DEMO.crops.size_px}",
    "training.precision=float32",
    f"training.learning_rate={DEMO.training.learning_rate}",
    "training.batch_size=8",
    "training.accumulate=1",
    "training.ema_decay=0.9",
)
ROUNDS, TRIED = 2, 2  # of the trainings that measure an epoch, and epochs in each
CUTTING = Lock()
SET = ("winners-canal", "winners-foraminal", "winners-subarticular")
COMPARED = (
    *(("annotated", "starter"), ("demo", "starter"), ("joint", "starter"), ("set", "starter")),
    *(("demo", "annotated"), ("joint", "annotated"), ("set", "annotated")),
    *(("joint", "demo"), ("set", "demo"), ("set", "joint")),
)


@dataclass(frozen=True)
class Work:
    """The tables of a seed, and what is common to its trainings."""

    folder: Path
    phantom: Path
    seed: int
    seconds: float  # of a core, to train a fold
    starter_rate: float


@dataclass(frozen=True)
class Net:
    """One of the nets of a way, which share its time evenly."""

    name: str
    experiment: Experiment | None = None  # None for the starter
    points: str = "predicted"

    def epochs(self, work: Work, nets: int, costs: Mapping[str, float]) -> int:
        """Return how many epochs fit into its share of the time."""
        return max(1, int(work.seconds / nets / costs[self.name]))


def main() -> None:
    """Write the phantom, train in all ways with every seed, and print scores and differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--studies", type=int, default=120)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--min-steps", type=int, default=CoordinatesConfig().min_steps)
    parser.add_argument("--starter-rate", type=float, default=2e-3)
    parser.add_argument("--folder", type=Path, help="to keep the phantom and the models in")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        phantom = folder / "phantom"
        if not phantom.exists():
            order = Order(
                studies=options.studies,
                test=0,
                seed=1,
                grades="real",
                max_size=SIZE,
                geometry="hard",
                scatter_mm=SCATTER_MM,
            )
            write_phantom(phantom, order)
        works = [
            Work(folder / f"seed-{seed}", phantom, seed, options.minutes * 60, options.starter_rate)
            for seed in options.seeds
        ]
        figures = measure(works, CoordinatesConfig(min_steps=options.min_steps), folder)
    if options.full:
        record("Peers", "python benchmarks/peers.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:28s} {value:.4f}")


def measure(works: Sequence[Work], config: CoordinatesConfig, kept: Path) -> dict[str, float]:
    """Return scores and costs, averaged over the seeds, and the differences with their bounds."""
    found: dict[str, list[float]] = {}
    differences: dict[tuple[str, str], list[np.ndarray]] = {pair: [] for pair in COMPARED}
    ways = list_ways()
    for work in works:
        found.setdefault("points_seconds", []).append(_find_points(work, config))
        costs = _costs_of_epochs(work, ways, kept / "costs.json")
        labels = pl.read_parquet(work.folder / "labels.parquet")
        prior = out_of_fold_prior(labels, pl.read_parquet(work.folder / "folds.parquet"))
        found.setdefault("prior", []).append(compare(labels, prior, prior).first)
        filled = {}
        for name, nets in ways.items():
            epochs = [net.epochs(work, len(nets), costs) for net in nets]
            rows = pl.concat([_trained(work, *each) for each in zip(nets, epochs, strict=True)])
            filled[name] = fill_with_prior(rows, prior)
            found.setdefault(name, []).append(compare(labels, filled[name], prior).first)
            found.setdefault(f"{name}_epochs", []).append(float(np.mean(epochs)))
            print(f"seed {work.seed}, {name}: {found[name][-1]:.4f}", file=sys.stderr)
        for (new, old), before in differences.items():
            pair = compare(labels, filled[old], filled[new])
            before.append(np.append(pair.differences, pair.first - pair.second))
    figures = {name: float(np.mean(values)) for name, values in found.items()}
    for (new, old), values in differences.items():
        mean = np.mean(values, axis=0)
        low, high = np.quantile(mean[:-1], [0.025, 0.975]).tolist()
        name = f"{new}_over_{old}"
        figures |= {name: float(mean[-1]), f"{name}_low": low, f"{name}_high": high}
    return figures


def list_ways() -> dict[str, list[Net]]:
    """Return the nets of each way."""
    demos = [
        EXPERIMENTS.load("demo", [f"labels.conditions=[{', '.join(map(repr, each))}]"])
        for each in _pooled_conditions()
    ]
    return {
        "starter": [Net("starter")],
        "annotated": [
            Net(f"demo-annotated-{number}", each, "annotated") for number, each in enumerate(demos)
        ],
        "demo": [Net("demo", DEMO)],
        "joint": [Net("winners-joint", EXPERIMENTS.load("winners-joint", SMALL))],
        "set": [Net(name, EXPERIMENTS.load(name, SMALL)) for name in SET],
    }


def _find_points(work: Work, config: CoordinatesConfig) -> float:
    """Index the phantom, find the points and disturb the labels; return the seconds of a core."""
    done = work.folder / "points.json"
    if not done.exists():
        shutil.rmtree(work.folder, ignore_errors=True)
        work.folder.mkdir(parents=True)
        seconds = _timed(lambda: walk(work.phantom, work.folder, {}, config, seed=work.seed))
        _disturb(work.folder / "labels.parquet", work.seed)
        images = pl.read_parquet(work.folder / "index" / "instances.parquet")
        write_stacks(images, work.folder / "stacks", SIZE)
        done.write_text(json.dumps(seconds))
    return float(json.loads(done.read_text()))


def _costs_of_epochs(
    work: Work, ways: Mapping[str, Sequence[Net]], kept: Path
) -> Mapping[str, float]:
    """Return the seconds of a core for an epoch of each net: the least of ROUNDS, in turn."""
    if not kept.exists():
        costs: dict[str, float] = {}
        every = [net for nets in ways.values() for net in nets]
        for net in every:  # or the first training would cut the crops
            _cut(work, net, net.points)
            _cut(work, net, "predicted")
        for _ in range(ROUNDS):
            for net in every:
                with tempfile.TemporaryDirectory() as tried:
                    few, more = (
                        _timed(partial(_train, work, net, 0, epochs, Path(tried)))
                        for epochs in (1, 1 + TRIED)
                    )
                costs[net.name] = min(costs.get(net.name, np.inf), max(more - few, 1e-3) / TRIED)
        kept.write_text(json.dumps(costs))
        print(f"seconds of a core an epoch: {costs}", file=sys.stderr)
    return dict(json.loads(kept.read_text()))


def _disturb(file: Path, seed: int) -> None:
    """Change a share of the labels by one grade."""
    labels, random = pl.read_parquet(file), np.random.default_rng(seed)
    is_wrong, is_higher = random.random((2, len(labels))) < [[WRONG], [0.5]]
    grade = pl.col("grade")
    # The middle grade becomes either of its neighbours; the others have one.
    other = pl.when(grade == 1).then(2 * pl.lit(pl.Series(is_higher))).otherwise(1)
    wrong = pl.when(grade.is_not_null() & pl.lit(pl.Series(is_wrong))).then(other).otherwise(grade)
    labels.with_columns(wrong.cast(labels.schema["grade"]).alias("grade")).write_parquet(file)


def _pooled_conditions() -> list[list[str]]:
    by_kind: dict[str, list[str]] = {}
    for condition in CONDITIONS:
        by_kind.setdefault(condition.pooled, []).append(str(condition))
    return list(by_kind.values())


def _trained(work: Work, net: Net, epochs: int) -> pl.DataFrame:
    """Return the out-of-fold predictions of a net, on points that were found."""
    done = work.folder / f"{net.name}-{epochs}.parquet"
    if not done.exists():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            folds = pool.map(
                lambda fold: _train(work, net, fold, epochs, work.folder), range(FOLDS)
            )
            rows = pl.concat([each.select("row_id", *PROBABILITIES) for each in folds])
        with write_atomic(done) as temporary:
            rows.write_parquet(temporary)
    return pl.read_parquet(done)


def _train(work: Work, net: Net, fold: int, epochs: int, folder: Path) -> pl.DataFrame:
    """Train a fold of a net in a child process; return its predictions of the fold."""
    out = folder / f"{net.name}-fold-{fold}-{epochs}"
    if net.experiment is None:
        return _train_starter(work, fold, epochs)
    crops = _cut(work, net, net.points)
    _train_fold(work, net.experiment, crops, out, fold, epochs)
    if net.points == "predicted":
        return pl.read_parquet(out / "oof.parquet")
    return _predict(work, net.experiment, _cut(work, net, "predicted"), fold, out)


def _train_starter(work: Work, fold: int, epochs: int) -> pl.DataFrame:
    job = Starter(
        stacks=work.folder / "stacks",
        tables=work.folder,
        fold=fold,
        backbone=DEMO.model.backbone,
        epochs=epochs,
        learning_rate=work.starter_rate,
        batch_size=8,
        seed=work.seed,
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(train_and_predict, job).result()


def _timed(work: Callable[[], object]) -> float:
    """Return the seconds of cores of the child processes of some work."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _cut(work: Work, net: Net, points: str) -> Path:
    """Cut the crops of all studies once, and mark their annotated slices."""
    with CUTTING:
        out = work.folder / f"crops-{net.name}-{points}"
        if net.experiment is not None and not (out / "marks.parquet").exists():
            _cut_into(out, work, net.experiment, points)
        return out


def _cut_into(out: Path, work: Work, experiment: Experiment, points: str) -> None:
    own, choice, config = work.folder / points, experiment.slices, experiment.crops
    instances = pl.read_parquet(work.folder / "index" / "instances.parquet")
    slices = pl.read_parquet(own / "slices.parquet")
    landmarks = pl.read_parquet(own / "landmarks.parquet")
    cut_crops(instances, slices, choice, config, out, landmarks=landmarks)
    if (choice, config) != without_frames(choice, config):
        shutil.copyfile(work.folder / "predicted" / "point_errors.parquet", out / ERRORS)
    marks = find_marks(
        instances,
        slices,
        open_competition(work.phantom).annotations,
        pl.read_parquet(out / "samples.parquet"),
        choice,
        config,
    )
    marks.write_parquet(out / "marks.parquet")


def _train_fold(
    work: Work, experiment: Experiment, crops: Path, out: Path, fold: int, epochs: int
) -> None:
    training = experiment.training.model_copy(update={"epochs": epochs})
    trained = experiment.model_copy(update={"training": training})
    train_fold(
        FoldJob(
            experiment=trained,
            fold=fold,
            crops=crops,
            labels=work.folder / "labels.parquet",
            folds=work.folder / "folds.parquet",
            marks=crops / "marks.parquet" if experiment.loss.slice_weight else None,
            out=out,
            identity=fingerprint({"experiment": trained, "seed": work.seed}),
            seed=work.seed,
            device="cpu",
            threads=1,
            workers=0,
        ),
        log=work.folder / "children.log",
        on_event=ignore,
    )


def _predict(
    work: Work, experiment: Experiment, crops: Path, fold: int, model: Path
) -> pl.DataFrame:
    """Return a fold's predictions of its own studies on other crops."""
    folder = work.folder / f"{model.name}-seen"
    folder.mkdir(exist_ok=True)
    own = pl.read_parquet(work.folder / "folds.parquet").filter(fold=fold)["study_id"]
    is_own = pl.col("study_id").is_in(own.implode())
    # The model predicts these studies as if they were test studies; the others are not used.
    split = pl.when(is_own).then(pl.lit("test")).otherwise(pl.lit("train"))
    samples = pl.read_parquet(crops / "samples.parquet").with_columns(split=split)
    samples.write_parquet(folder / "samples.parquet")
    (folder / "crops.npy").unlink(missing_ok=True)
    (folder / "crops.npy").symlink_to(crops.absolute() / "crops.npy")
    predict(
        PredictJob(
            experiment=experiment,
            models=(model,),
            crops=folder,
            out=folder / "predictions.parquet",
            device="cpu",
            threads=1,
        ),
        log=work.folder / "children.log",
        on_event=ignore,
    )
    return pl.read_parquet(folder / "predictions.parquet")


if __name__ == "__main__":
    main()
