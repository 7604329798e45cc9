"""Slices with planted labels to train on, and the calls that train and predict."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS
from lsdc.challenges.hemorrhage.training.predict import PredictJob
from lsdc.challenges.hemorrhage.training.train_fold import FoldJob
from lsdc.challenges.hemorrhage.training.train_sequence import SequenceJob, train_sequence
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.jobs.fold import train_fold
from lsdc.jobs.predict import predict
from lsdc.store.fingerprint import fingerprint
from lsdc.training.process import OnEvent, ignore

NAMES = [str(label) for label in LABELS]
SMALL = [
    "slices.windows=[[40, 80]]",
    "slices.size_px=32",
    "model.backbone=test_efficientnet_gn",  # several processes on a CPU need it
    "model.map_pool=max",
    "model.width=8",
    "training.epochs=2",
    "training.batch_size=16",
    "augment.mixup=0",
    "loss.label_smoothing=0",
    "sequence.width=8",
    "sequence.epochs=2",
]
SUBDURAL, BEFORE = NAMES.index("subdural"), NAMES.index("epidural")


def small(*settings: str) -> Experiment:
    """Return the demo's experiment, smaller, with some settings changed."""
    return EXPERIMENTS.load("ich-demo", [*SMALL, *settings])


EXPERIMENT = small()


def plant(root: Path, *, studies: int, slices: int, seed: int = 0) -> "Data":
    """Write slices of 32 px, their labels and three folds.

    A slice with a bright blob is subdural; one whose slice before has the blob is epidural, which
    it does not show itself. The last slice of each study is empty, and the last study is held out.
    """
    random = np.random.default_rng(seed)
    names = [f"ID_{number:010x}" for number in range(studies)]
    # A row of slices has another place in the file than in the stack.
    table = pl.DataFrame(
        {
            "image_id": [f"ID_{number:09x}" for number in range(studies * slices)],
            "study_id": np.repeat(names, slices),
            "series_id": np.repeat(names, slices),
            "patient": np.repeat([f"{number // 2:016x}" for number in range(studies)], slices),
            "order": pl.Series(list(range(slices)) * studies, dtype=pl.Int32),
            "along_mm": np.tile(5.0 * np.arange(slices), studies),
            "step_mm": ([5.0] * (slices - 1) + [None]) * studies,
            "content": ([0.3] * (slices - 1) + [0.0]) * studies,
            "corrected": pl.Series([None] * (studies * slices), dtype=pl.String),
        }
    ).with_row_index("row")
    table = table.with_columns(pl.col("row").cast(pl.Int32))
    blob = random.random((studies, slices)) < 0.35
    blob[:, -1] = False
    before = np.concatenate([np.zeros((studies, 1), bool), blob[:, :-1]], axis=1)
    labels = np.zeros((studies * slices, len(NAMES)), np.int8)
    labels[:, SUBDURAL], labels[:, BEFORE] = blob.ravel(), before.ravel()
    labels[:, NAMES.index("any")] = labels.max(axis=1)
    np.save(root / "slices.npy", _draw(blob.ravel(), random))
    table.write_parquet(root / "slices.parquet")
    named = pl.DataFrame(labels, schema=dict.fromkeys(NAMES, pl.Int8))
    known = table.select("image_id").hstack(named)
    number = np.arange(studies * slices) // slices
    dealt = table.select("image_id", "study_id", "patient").with_columns(
        fold=pl.Series(number // 2 % 3, dtype=pl.Int32)
    )
    dealt.filter(number < studies - 1).write_parquet(root / "folds.parquet")
    known.filter(number < studies - 1).write_parquet(root / "labels.parquet")
    known.filter(number == studies - 1).write_parquet(root / "holdout.parquet")
    return Data(root)


def _draw(blob: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.uint8]:
    y, x = np.mgrid[:32, :32]
    slices = random.normal(90, 15, (len(blob), 1, 32, 32))
    for number in np.flatnonzero(blob):
        at_y, at_x = random.integers(8, 24, 2)
        slices[number, 0] += 110 * (np.hypot(y - at_y, x - at_x) < 5)
    return slices.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Data:
    """The folder of planted slices, and others in place of some of its tables."""

    root: Path
    labels_file: Path | None = None
    folds_file: Path | None = None
    holdout_file: Path | None = None

    @property
    def labels(self) -> Path:
        return self.labels_file or self.root / "labels.parquet"

    @property
    def folds(self) -> Path:
        return self.folds_file or self.root / "folds.parquet"

    @property
    def holdout(self) -> Path:
        return self.holdout_file or self.root / "holdout.parquet"

    def train(
        self,
        out: Path,
        *,
        experiment: Experiment = EXPERIMENT,
        on_event: OnEvent = ignore,
        **changes: Any,
    ) -> pl.DataFrame:
        """Train the slice model of fold 0; return its out-of-fold predictions."""
        job = FoldJob(
            experiment=experiment,
            fold=0,
            slices=self.root,
            labels=self.labels,
            folds=self.folds,
            holdout=self.holdout,
            out=out,
            identity=fingerprint({"experiment": experiment}),
            seed=3,
            device="cpu",
            threads=1,
            workers=0,
        )
        log = out / "child.log"
        train_fold(job.model_copy(update=changes), log=log, on_event=on_event)
        return pl.read_parquet(out / "oof.parquet")

    def train_sequence(
        self, fold: Path, *, experiment: Experiment = EXPERIMENT, on_event: OnEvent = ignore
    ) -> pl.DataFrame:
        """Train the sequence model of fold 0; return its out-of-fold predictions."""
        job = SequenceJob(
            experiment=experiment,
            fold=0,
            slices=self.root,
            labels=self.labels,
            folds=self.folds,
            holdout=self.holdout,
            fold_folder=fold,
            out=fold / "sequence",
            identity=fingerprint({"experiment": experiment}),
            seed=3,
            device="cpu",
            threads=1,
            workers=0,
        )
        train_sequence(job, log=fold / "child.log", on_event=on_event)
        return pl.read_parquet(fold / "sequence" / "oof.parquet")

    def predict(
        self,
        models: list[Path],
        out: Path,
        *,
        experiment: Experiment = EXPERIMENT,
        images: Path | None = None,
    ) -> pl.DataFrame:
        """Predict the slices with some folds' models."""
        job = PredictJob(
            experiment=experiment,
            models=tuple(models),
            sequences=tuple(
                each / "sequence" for each in models if experiment.sequence.kind != "none"
            ),
            slices=self.root,
            images=images,
            out=out,
            by_fold=out.with_name("by_fold.parquet"),
            device="cpu",
            threads=1,
        )
        predict(job, log=out.with_suffix(".log"), on_event=ignore)
        return pl.read_parquet(out)
