"""What rotations and shifts of the layer window add on a phantom's odd fragments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.inference.predict import PredictJob, Wanted, predict
from lsdc.challenges.ink.masks.rule import Rule, make_mask
from lsdc.challenges.ink.training.train_fold import FoldJob
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.jobs.fold import train_fold
from lsdc.tables.resampling import Sums, interval, resample
from lsdc.training.process import ignore

BLOCK_PX = 96  # about a letter of the phantom, which is 91 px high
Figures = dict[str, float]


@dataclass(frozen=True)
class Change:
    """A change to measure.

    Attributes:
        fragment: the fragment that needs it, which is scored and not trained on.
        without: the setting that leaves it out.
        preset: the experiment.
        settings: its changed settings, with and without.
    """

    fragment: str
    without: str
    preset: str = "ink-demo"
    settings: tuple[str, ...] = ()


# A 2-D encoder, trained as ink-demo is, and shifted as far as fragment 3 lies off.
IMAGES = (
    "tiles.size_px=64",
    "sampling.stride_px=16",
    "sampling.tiles_an_epoch=512",
    "augment.layer_shift_layers=5",
    "augment.brightness_contrast=0",
    "model.backbone=resnet10t.c3_in1k",
    "model.pretrained=false",
    "model.width=64",
    "model.decoder_width=16",
    "training.batch_size=16",
    "training.learning_rate=3e-3",
    "training.warmup=0.1",
    "inference.batch_size=32",
)
CHANNELS = ("tiles.groups=1", "tiles.group_layers=25")
CHANGES = {
    "turns": Change("2", "augment.quarter_turns=0"),
    "shift": Change("3", "augment.layer_shift=0"),
    "channels_shift": Change("3", "augment.layer_shift=0", "ink-small", (*IMAGES, *CHANNELS)),
    "groups_shift": Change("3", "augment.layer_shift=0", "ink-small", IMAGES),
}


@dataclass(frozen=True)
class Trained:
    """What is trained on.

    Attributes:
        volumes: the prepared volumes.
        split: the folder of regions and folds, one a fragment; trainings are written there too.
        settings: changed settings of all trainings.
        seeds: the seeds of the trainings.
        changes: the names of the changes to measure.
    """

    volumes: Path
    split: Path
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    changes: tuple[str, ...]


def compare_changes(trained: Trained) -> Figures:
    """Return F0.5 with and without each change, and the difference with its interval."""
    found: Figures = {}
    for name in trained.changes:
        change = CHANGES[name]
        both = [
            add_up([count_blocks(trained, name, change, left_out, seed) for seed in trained.seeds])
            for left_out in (False, True)
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


def count_blocks(trained: Trained, name: str, change: Change, left_out: bool, seed: int) -> Sums:
    """Train on all fragments but one, predict it, and return what F0.5 divides, by block of it."""
    fragment = change.fragment
    settings = (*change.settings, *trained.settings, *([change.without] if left_out else []))
    out = trained.split / f"{name}-{'without' if left_out else 'with'}-{seed}"
    path = train_and_predict(
        trained, fragment, EXPERIMENTS.load(change.preset, settings), out, seed
    )
    regions = pl.read_parquet(trained.split / "regions.parquet")
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
    trained: Trained, fragment: str, experiment: Experiment, out: Path, seed: int
) -> Path:
    """Train the fold that holds a fragment out into a folder; return the map of this fragment."""
    split = trained.split
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
