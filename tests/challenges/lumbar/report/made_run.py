"""Runs with made-up predictions, written by the code that real runs are written by."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.coordinates.spines import Spines
from lsdc.challenges.lumbar.quality.corrections import Corrections
from lsdc.challenges.lumbar.scoring.oof import HeldOut, write_oof
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS, SeriesDescription
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.dicom_index.series import Series
from lsdc.store.files import write_folder
from lsdc.store.home import Home, open_home
from lsdc.store.manifest import store_folder
from tests.report.made_records import write_records, write_training

STUDIES = tuple(range(101, 113))
FOLDS = 3


def make_labels(studies: Sequence[int] = STUDIES, seed: int = 0) -> pl.DataFrame:
    """Return random grades, mostly normal; one cell in twenty is empty."""
    random = np.random.default_rng(seed)
    rows = [
        (study, str(c), str(level)) for study in studies for c in CONDITIONS for level in LEVELS
    ]
    grades = random.choice(len(GRADES), len(rows), p=[0.6, 0.25, 0.15])
    empty = random.random(len(rows)) < 0.05
    given = [None if gone else int(grade) for grade, gone in zip(grades, empty, strict=True)]
    labels = pl.DataFrame(rows, ["study_id", "condition", "level"], orient="row")
    return labels.with_columns(grade=pl.Series(given, dtype=pl.Int8))


def predict(labels: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return row_id and probabilities that are often right."""
    random = np.random.default_rng(seed)
    grades = labels["grade"].fill_null(0).to_numpy()
    logits = random.normal(0, 1.2, (len(grades), len(GRADES)))
    logits[np.arange(len(grades)), grades] += 2
    given = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels.select(row_id()).hstack(pl.DataFrame(given, schema=list(PROBABILITIES)))


def assign(studies: Sequence[int] = STUDIES, folds: int = FOLDS) -> pl.DataFrame:
    """Deal the studies to folds in turn."""
    dealt = [number % folds for number in range(len(studies))]
    return pl.DataFrame(
        {"study_id": list(studies), "fold": dealt}, schema={"study_id": pl.Int64, "fold": pl.Int32}
    )


def write_run(
    root: Path,
    name: str = "demo",
    *,
    labels: pl.DataFrame | None = None,
    folds: pl.DataFrame | None = None,
    seed: int = 1,
    changed: dict[str, Any] | None = None,
    experiment: str = "demo",
) -> Home:
    """Write a scored run with the records that a report shows."""
    home = open_home(root)
    labels = make_labels() if labels is None else labels
    dealt = assign() if folds is None else folds
    folder = home.run(name)
    trained = [
        _write_fold(home.fold(name, fold), labels, dealt.filter(fold=fold), seed + fold)
        for fold in dealt["fold"].unique().sort()
    ]
    write_oof(trained, labels, dealt, labels.clear(), folder)
    made = []
    for stage, tables in (
        ("index", {"quarantine": _quarantine(), "series": _series()}),
        ("annotations", _corrections()),
        ("coordinates", {"spines": _spines()}),
    ):
        with write_folder(home.root / stage) as out:
            for table, rows in tables.items():
                rows.write_parquet(out / f"{table}.parquet")
            made.append(store_folder(home.root, stage, out, rows=1))
    write_records(
        home,
        name,
        EXPERIMENTS.load(experiment),
        folds=len(trained),
        made=made,
        index="index train",
        changed=changed,
    )
    return home


def _write_fold(out: Path, labels: pl.DataFrame, dealt: pl.DataFrame, seed: int) -> Path:
    out.mkdir(parents=True)
    own = labels.join(dealt, on="study_id", how="semi", maintain_order="left")
    (fold,) = dealt["fold"].unique()
    predicted = predict(own, seed)
    predicted.with_columns(fold=pl.lit(fold)).write_parquet(out / "oof.parquet")
    HeldOut.create_empty().write_parquet(out / "holdout.parquet")
    write_training(out, losses=[(1.0, 0.9, 0.8), (0.5, 0.7, 0.6)])
    return out


def _quarantine() -> pl.DataFrame:
    row = {
        "path": "/home/someone/images/101/7/3.dcm",
        "stage": "index",
        "reason": "truncated: 10 bytes, expected at least 20",
        "bytes": 10,
        "mtime_ns": 1,
        "study_id": 101,
        "series_id": 7,
        "instance_number": 3,
    }
    return pl.DataFrame([row], schema=pl.Schema(Quarantine))


def _series() -> pl.DataFrame:
    """Return three series a study; the first study has no axial one, odd ones thicker slices."""
    rows = [
        {
            "split": "train",
            "study_id": study,
            "series_id": number,
            "series_description": str(kind),
            "images": 15,
            "slice_spacing_mm": 5.0 if study % 2 else 4.0,
        }
        for study in STUDIES
        for number, kind in enumerate(SeriesDescription)
        if (study, kind) != (STUDIES[0], SeriesDescription.AXIAL_T2)
    ]
    return pl.DataFrame(rows, schema=pl.Schema(Series))


def _spines() -> pl.DataFrame:
    rows = [
        {"split": "train", "study_id": study, "extra_vertebra": study in STUDIES[:6]}
        for study in STUDIES
    ]
    return pl.DataFrame(rows, schema=pl.Schema(Spines))


def _corrections() -> dict[str, pl.DataFrame]:
    row = {
        "row": 4,
        "rule": "sides_swapped",
        "study_id": 102,
        "series_id": 8,
        "instance_number": 5,
        "condition": "left_subarticular_stenosis",
        "level": "l4_l5",
        "x_px": 10.0,
        "y_px": 12.0,
        "became_condition": "right_subarticular_stenosis",
        "became_level": "l4_l5",
    }
    return {"corrections": pl.DataFrame([row], schema=pl.Schema(Corrections))}
