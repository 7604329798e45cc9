"""What rotations and shifts of the layer window add to ink-demo on a phantom's odd fragments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.inference.predict import PredictJob, Wanted, predict
from lsdc.challenges.ink.masks.rule import Rule, make_mask
from lsdc.challenges.ink.training.train_fold import FoldJob
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.jobs.fold import train_fold
from lsdc.tables.resampling import Sums, interval, resample
from lsdc.training.process import ignore

BLOCK_PX = 96  # about a letter of the phantom, which is 91 px high
WITHOUT = {
    # What is left out, and the fragment that needs it.
    "turns": ("augment.quarter_turns=0", "2"),
    "shift": ("augment.layer_shift=0", "3"),
}
Figures = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """What is trained on.

    Attributes:
        volumes: the prepared volumes.
        split: the folder of regions and folds, one a fragment; trainings are written there too.
        settings: changed settings of ink-demo, with and without.
        seeds: the seeds of the trainings.
    """

    volumes: Path
    split: Path
    settings: tuple[str, ...]
    seeds: tuple[int, ...]


def compare_changes(trained: Trained) -> Figures:
    """Return F0.5 with and without each change, and the difference with its interval."""
    found: Figures = {}
    for name, (setting, fragment) in WITHOUT.items():
        both = [
            add_up(
                [
                    count_blocks(trained, fragment, (*trained.settings, *changes), seed)
                    for seed in trained.seeds
                ]
            )
            for changes in ((), (setting,))
        ]
        found |= {f"{name}_{what}": value for what, value in difference(*both).items()}
    return found


def difference(with_it: Sums, without: Sums) -> Figures:
    """Return both scores and their difference, with an interval over random sets of blocks."""
    scores = [float(each.losses.sum() / each.weights.sum()) for each in (with_it, without)]
    drawn = resample([with_it, without])[:, :, 0]
    own = interval(drawn[0] - drawn[1])
    figures = {"with": scores[0], "without": scores[1], "gain": scores[0] - scores[1]}
    return {**figures, "low": own.low, "high": own.high}


def add_up(seeds: list[Sums]) -> Sums:
    """Return the sums over seeds of the same blocks."""
    return Sums(
        np.sum([each.losses for each in seeds], axis=0),
        np.sum([each.weights for each in seeds], axis=0),
    )


def count_blocks(trained: Trained, fragment: str, settings: tuple[str, ...], seed: int) -> Sums:
    """Train on all fragments but one, predict it, and return what F0.5 divides, by block of it."""
    regions = pl.read_parquet(trained.split / "regions.parquet")
    path = train_and_predict(trained, fragment, settings, seed)
    others = regions.filter(pl.col("region") != fragment)
    share = int(others["ink_pixels"].sum()) / int(others["mask_pixels"].sum())
    volume = Volume.open(trained.volumes / fragment)
    inside, labels = np.asarray(volume.mask), np.asarray(volume.labels)
    ink = make_mask(np.load(path), inside, Rule("quantile", 1 - share))
    both = np.stack([1.25 * (ink & labels), 0.25 * labels + ink])
    starts = [np.arange(0, length, BLOCK_PX) for length in labels.shape]
    sums = np.add.reduceat(np.add.reduceat(both, starts[0], axis=1), starts[1], axis=2)
    losses, weights = sums.reshape(2, -1, 1)
    return Sums(losses, weights)


def train_and_predict(
    trained: Trained, fragment: str, settings: tuple[str, ...], seed: int
) -> Path:
    """Train the fold that holds a fragment out; return the map of this fragment."""
    split, out = trained.split, trained.split / "-".join([fragment, *settings, str(seed)])
    experiment = EXPERIMENTS.load("ink-demo", settings)
    regions = pl.read_parquet(split / "regions.parquet")
    placed = pl.read_parquet(split / "folds.parquet")
    common: dict[str, Any] = {"experiment": experiment, "device": "cpu", "threads": 1}
    common |= {"volumes": trained.volumes, "identity": out.name, "out": out}
    log = out.with_name(f"{out.name}.log")
    job = FoldJob(
        **common,
        fold=placed.filter(region=fragment)["fold"].item(),
        folds=split / "folds.parquet",
        regions=split / "regions.parquet",
        seed=seed,
        workers=0,
    )
    train_fold(job, log=log, on_event=ignore)
    columns = ("region", "fragment", "first_row", "end_row")
    wanted = tuple(
        Wanted(**row) for row in regions.filter(region=fragment).select(columns).to_dicts()
    )
    predict(PredictJob(**common, models=(out,), wanted=wanted), log=log, on_event=ignore)
    return out / f"{fragment}.npy"
