"""Figures of learning from a phantom's slices; benchmarks/hemorrhage.py explains them."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from costs import cost_of

from lsdc.challenges.hemorrhage.competition.tables import read_labels, table_of_labels
from lsdc.challenges.hemorrhage.scoring.bootstrap import bootstrap
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, score_arrays
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS, OutOfFold
from lsdc.challenges.hemorrhage.scoring.prior import label_shares
from lsdc.tables.resampling import interval

# Labels that mean nothing can only be learnt by heart, which augmentation and smoothing hinder.
_BY_HEART = (
    *(f"augment.{name}=0" for name in ("horizontal_flip", "shift_scale_rotate", "mixup")),
    "loss.label_smoothing=0",
)


@dataclass(frozen=True)
class Trained:
    """What a run of the demo has learnt.

    Attributes:
        slices: `OutOfFold` of the slice models.
        sequence: the same of the sequence models.
        training_loss: of the slice models' last epoch, the mean over the folds.
    """

    slices: pl.DataFrame
    sequence: pl.DataFrame
    training_loss: float

    @property
    def prior(self) -> pl.DataFrame:
        """The same images, predicted by the shares of their labels."""
        as_parts = dict(zip(LABEL_COLUMNS, PARTS, strict=True))
        shares = label_shares(self.sequence.select(LABEL_COLUMNS).rename(as_parts))
        return self.sequence.with_columns(pl.lit(shares[part]).alias(part) for part in PARTS)


def take_learning_figures(
    folder: Path, studies: int, folds: int, seed: int, settings: Sequence[str]
) -> dict[str, float]:
    """Return the figures by name.

    Args:
        folder: the folder for the phantom and the homes.
        studies: the studies of the phantom.
        folds: the number of folds.
        seed: the seed of the phantom, the folds and the training.
        settings: changed settings of the demo, KEY=VALUE.
    """
    heads, shuffled = folder / "heads", folder / "shuffled"
    phantom = ("--challenge", "hemorrhage", "--studies", studies, "--seed", seed)
    write = partial(_lsdc, "demo-data", heads, *phantom)
    train = partial(_train, folds=folds, seed=seed)
    wall, cpu = np.add(
        cost_of(write), cost_of(partial(train, folder / "by-patient", heads, settings))
    )
    _shuffle(heads, shuffled)
    others = (
        partial(train, folder / "by-image", heads, [*settings, "split.by=image"]),
        partial(train, folder / "by-heart", shuffled, [*settings, *_BY_HEART]),
    )
    all_cpu = cpu + sum(cost_of(other)[1] for other in others)
    patient, image, chance = (
        _read(folder / home) for home in ("by-patient", "by-image", "by-heart")
    )
    figures = {
        "studies": studies,
        "folds": folds,
        "seed": seed,
        "minutes": wall / 60,
        "cpu_minutes": cpu / 60,
        "all_cpu_minutes": all_cpu / 60,
        "prior": _loss(patient.prior),
        "slice": _loss(patient.slices),
        "sequence": _loss(patient.sequence),
        **_ratio("slice_to_prior", patient.slices, patient.prior),
        **_ratio("sequence_to_prior", patient.sequence, patient.prior),
        **_ratio("sequence_to_slice", patient.sequence, patient.slices),
        **_ratio("slice_image_to_patient", image.slices, patient.slices),
        **_ratio("sequence_image_to_patient", image.sequence, patient.sequence),
        "shuffled_training_to_prior": chance.training_loss / _loss(chance.prior),
        **_ratio("shuffled_slice_to_prior", chance.slices, chance.prior),
        **_ratio("shuffled_sequence_to_prior", chance.sequence, chance.prior),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def _lsdc(*words: object) -> None:
    """Run the command."""
    command = [sys.executable, "-P", "-m", "lsdc", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _train(home: Path, data: Path, settings: Sequence[str], *, folds: int, seed: int) -> None:
    """Train the demo in a home of its own."""
    changes = [word for setting in settings for word in ("--set", setting)]
    options = ["--home", home, "--folds", folds, "--seed", seed, *changes]
    _lsdc("run-local", "--experiment", "ich-demo", "--data", data, *options)


def _shuffle(data: Path, out: Path) -> None:
    """Link the training images, and give each the labels of another one."""
    out.mkdir()
    table = table_of_labels(data)
    images = table.name.replace(".csv", "_images")
    (out / images).symlink_to(data / images)
    labels = read_labels(data).sort("image_id")
    order = np.random.default_rng(0).permutation(len(labels))
    own = labels["image_id"][order].alias("image_id")
    rows = labels.with_columns(own).unpivot(index="image_id", value_name="Label")
    ids = pl.concat_str("image_id", "variable", separator="_")
    rows.select(ids.alias("ID"), "Label").write_csv(out / table.name)


def _read(home: Path) -> Trained:
    """Read what the only run of a home has learnt."""
    (run,) = (home / "runs").iterdir()
    folds = sorted(run.glob("fold-*"))
    losses = [pl.read_parquet(fold / "history.parquet")["loss"][-1] for fold in folds]
    sequence = pl.read_parquet(run / "oof.parquet")
    slices = pl.concat([pl.read_parquet(fold / "oof.parquet") for fold in folds])
    columns = OutOfFold.column_names()
    # In the same order, without images that only their neighbours predict.
    slices = sequence.select("image_id").join(slices.select(columns), on="image_id")
    return Trained(slices, sequence, float(np.mean(losses)))


def _loss(rows: pl.DataFrame) -> float:
    """Return the metric of `OutOfFold`."""
    return score_arrays(rows.select(LABEL_COLUMNS).to_numpy(), rows.select(PARTS).to_numpy()).score


def _ratio(name: str, one: pl.DataFrame, other: pl.DataFrame) -> dict[str, float]:
    """Return the loss of the one over that of the other, and the interval by patient."""
    both = [one.join(other, on="image_id", how="semi"), other.join(one, on="image_id", how="semi")]
    drawn = bootstrap(both)[:, :, 0]
    ends = interval(drawn[0] / drawn[1])
    return {
        name: _loss(both[0]) / _loss(both[1]),
        f"{name}_low": ends.low,
        f"{name}_high": ends.high,
    }
