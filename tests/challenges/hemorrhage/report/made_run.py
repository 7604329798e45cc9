"""Runs with made-up predictions, written by the code that real runs are written by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS
from lsdc.challenges.hemorrhage.index.tables import Images
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.challenges.hemorrhage.scoring.oof import write_oof
from lsdc.store.files import write_folder
from lsdc.store.home import Home, open_home
from lsdc.store.manifest import Manifest, store_folder
from tests.challenges.hemorrhage.report.made_images import draw_slices
from tests.report.made_records import write_records, write_training

STUDIES, SLICES, FOLDS, SIZE = 12, 11, 3, 24
TEST_STUDY = "ID_00000000ff"
UNREADABLE = "ID_000000003"  # the fourth slice of the first study has no pixels


def study_of(number: int) -> str:
    """Return the id of a study."""
    return f"ID_{number:010x}"


def make_images(studies: int = STUDIES, *, test: bool = True) -> pl.DataFrame:
    """Return the index: stacks of SLICES images; two studies belong to one patient."""
    names = [study_of(number) for number in range(studies)]
    splits = ["train"] * studies
    if test:
        names.append(TEST_STUDY)
        splits.append("test")
    rows = [
        {
            "split": split,
            "path": f"/data/{number:03d}-{place:02d}.dcm",
            "image_id": f"ID_{number * SLICES + place:09x}",
            "study_id": name,
            "series_id": name,
            "patient": f"{max(number, 1):016x}",
            "order": place,
            "along_mm": 5.0 * place,
            "step_mm": 5.0 if place < SLICES - 1 else None,
        }
        for number, (name, split) in enumerate(zip(names, splits, strict=True))
        for place in range(SLICES)
    ]
    return pl.DataFrame(rows, schema_overrides={"order": pl.Int32})


def make_labels(images: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Return labels of training images: runs of slices in most studies, rarely epidural."""
    random = np.random.default_rng(seed)
    training = images.filter(split="train")
    labels = np.zeros((training.height, len(PARTS)), dtype=np.int8)
    for number in range(training.height // SLICES):
        if number % 4 == 3:
            continue
        kinds = random.choice(5, 2, replace=False, p=[0.05, 0.25, 0.2, 0.25, 0.25])
        for kind in kinds:
            start, length = random.integers(0, SLICES - 3), random.integers(2, 5)
            labels[number * SLICES + start : number * SLICES + start + length, kind] = 1
    labels[:, -1] = labels[:, :-1].max(axis=1)
    return training.select("image_id").hstack(pl.DataFrame(labels, schema=list(PARTS)))


def predict(labels: pl.DataFrame, seed: int, skill: float = 2.0) -> pl.DataFrame:
    """Return image_id and probabilities that are often right."""
    random = np.random.default_rng(seed)
    logits = random.normal(-2.5, 1.2, (labels.height, len(PARTS)))
    logits += 2 * skill * labels.select(PARTS).to_numpy()
    given = pl.DataFrame(1 / (1 + np.exp(-logits)), schema=list(PARTS))
    return labels.select("image_id").hstack(given)


def deal(images: pl.DataFrame, folds: int = FOLDS, *, by: str = "patient") -> pl.DataFrame:
    """Deal patients, or images, to folds in turn."""
    own = images.filter(split="train").select("image_id", "study_id", "patient")
    return own.with_columns(
        fold=(
            (pl.col("patient" if by == "patient" else "image_id").rank("dense") - 1) % folds
        ).cast(pl.Int32)
    )


def write_run(
    root: Path,
    name: str = "ich-demo",
    *,
    folds: pl.DataFrame | None = None,
    only: Sequence[int] | None = None,
    seed: int = 1,
    changed: dict[str, Any] | None = None,
    experiment: str = "ich-demo",
    sequence: bool = True,
    test: bool = True,
    selected: bool = False,
    held_out: str | None = None,
) -> Home:
    """Write a scored run with the records that a report shows; hold out a study, if asked."""
    home = open_home(root)
    images = make_images(test=test)
    labels, dealt = make_labels(images), deal(images) if folds is None else folds
    apart = labels.join(images.filter(study_id=held_out or ""), on="image_id", how="semi")
    dealt = dealt.join(apart, on="image_id", how="anti")
    folder = home.run(name)
    settings = EXPERIMENTS.load(experiment, [] if sequence else ["sequence.kind=none"])
    trained = only if only is not None else dealt["fold"].unique().sort().to_list()
    last = []
    for fold in trained:
        own = labels.join(dealt.filter(fold=fold), on="image_id", how="semi", maintain_order="left")
        made = Made(own, apart, fold, seed + fold, selected=selected)
        last.append(_write_fold(home.fold(name, fold), made, skill=1.2))
        if sequence:
            last[-1] = _write_fold(folder / f"sequence-{fold}", made, skill=2.0)
    about = images.select("image_id", "study_id", "patient")
    left_out = apart.join(about, on="image_id", maintain_order="left")
    in_folds = labels.join(apart, on="image_id", how="anti", maintain_order="left")
    write_oof(last, in_folds, dealt, left_out, images, folder)
    if test:
        of_test = images.filter(split="test").with_columns(pl.lit(0).alias(part) for part in PARTS)
        predict(of_test, seed).write_parquet(folder / "predictions.parquet")
    write_records(
        home,
        name,
        settings,
        folds=FOLDS,
        made=_write_results(home, images, labels, settings.slices.channels),
        index="index",
        changed=changed,
        challenge="hemorrhage",
    )
    return home


def _write_results(
    home: Home, images: pl.DataFrame, labels: pl.DataFrame, channels: int
) -> list[Manifest]:
    """Write the results of the stages, as far as reports read them."""
    made = []
    with write_folder(home.root / "index") as out:
        schema = {
            column: kind
            for column, kind in pl.Schema(Images).items()
            if column in images.columns  # others are not read
        }
        images.cast(schema).write_parquet(out / "images.parquet")
        _quarantine().write_parquet(out / "quarantine.parquet")
        made.append(store_folder(home.root, "index", out, rows=1))
    for split in images["split"].unique().sort(descending=True):
        own = images.filter(pl.col("image_id") != UNREADABLE, split=split).with_row_index("row")
        with write_folder(home.root / "slices") as out:
            np.save(out / "slices.npy", draw_slices(own, labels, channels, SIZE))
            own.with_columns(pl.col("row").cast(pl.Int32)).drop("split", "path").write_parquet(
                out / "slices.parquet"
            )
            made.append(store_folder(home.root, "slices", out, rows=1))
    return made


@dataclass(frozen=True)
class Made:
    """The labels of a fold's images, those of the held-out images, and how they are predicted."""

    labels: pl.DataFrame
    apart: pl.DataFrame
    fold: int
    seed: int
    selected: bool


def _write_fold(out: Path, made: Made, *, skill: float) -> Path:
    out.mkdir(parents=True)
    predicted = predict(made.labels, made.seed, skill).filter(pl.col("image_id") != UNREADABLE)
    predicted.with_columns(fold=pl.lit(made.fold, pl.Int32)).write_parquet(out / "oof.parquet")
    predict(made.apart, made.seed, skill).write_parquet(out / "holdout.parquet")
    losses = [(0.3, 0.25, 0.24), (0.2, 0.22, 0.21)]
    write_training(out, losses=losses, selected=made.selected)
    return out


def _quarantine() -> pl.DataFrame:
    row = {
        "path": "/home/someone/images/ID_aaaaaaaaa.dcm",
        "stage": "index",
        "reason": "truncated: 10 bytes, expected at least 20",
        "image_id": "ID_aaaaaaaaa",
    }
    return pl.DataFrame([row])
