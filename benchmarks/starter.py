"""What public starters of the competition do, plainly: one net for whole stacks of slices.

The middle slices of both sagittal series and evenly chosen axial slices are resized as a whole,
without points, and become the channels of one image. One timm backbone has 75 outputs: three
grades for each of five conditions and five levels. It is trained by cross-entropy with the weights
1, 2 and 4. `peers.py` compares it.
"""

from dataclasses import dataclass
from pathlib import Path

import albumentations
import cv2
import numpy as np
import polars as pl
import pydicom
import timm
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADE_WEIGHTS, GRADES, LEVELS
from lsdc.dicom_index.image_use import used_images

KINDS = ("Sagittal T1", "Sagittal T2/STIR", "Axial T2")
SLICES = 10  # of each kind
_QUESTIONS = [(str(condition), str(level)) for condition in CONDITIONS for level in LEVELS]
_EMPTY = -1


@dataclass(frozen=True)
class Starter:
    """The training of one fold.

    Attributes:
        stacks: the folder that `write_stacks` wrote.
        tables: the folder with folds.parquet and labels.parquet.
        fold: the fold that is not trained on.
    """

    stacks: Path
    tables: Path
    fold: int
    backbone: str
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int


def write_stacks(instances: pl.DataFrame, out: Path, size_px: int) -> None:
    """Write stacks.npy (studies, 30, size_px, size_px) uint8, and studies.npy."""
    out.mkdir(parents=True, exist_ok=True)
    images = used_images(instances)
    studies = images["study_id"].unique().sort().to_list()
    stacks = np.zeros((len(studies), len(KINDS) * SLICES, size_px, size_px), np.uint8)
    for number, study in enumerate(studies):
        for kind, name in enumerate(KINDS):
            own = images.filter(study_id=study, series_description=name)
            if len(own):
                first = kind * SLICES
                stacks[number, first : first + SLICES] = _read(own, size_px, axial=kind == 2)
    np.save(out / "stacks.npy", stacks)
    np.save(out / "studies.npy", np.array(studies))


def _read(images: pl.DataFrame, size_px: int, *, axial: bool) -> NDArray[np.uint8]:
    """Return SLICES slices: the middle ones of a sagittal series, or axial ones at equal steps."""
    along = np.array(images["position_mm"].to_list())[:, 2 if axial else 0]
    order = np.argsort(-along if axial else along)
    if axial or len(order) < SLICES:
        chosen = order[np.linspace(0, len(order) - 1, SLICES).round().astype(int)]
    else:
        start = (len(order) - SLICES) // 2
        chosen = order[start : start + SLICES]
    pixels = [pydicom.dcmread(images["path"][int(row)]).pixel_array for row in chosen]
    small = np.stack([cv2.resize(image.astype(np.float32), (size_px, size_px)) for image in pixels])
    darkest, brightest = np.percentile(small, [1, 99])
    grey = (small - darkest) / max(float(brightest - darkest), 1.0)
    stack: NDArray[np.uint8] = (np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return stack


def train_and_predict(job: Starter) -> pl.DataFrame:
    """Return the predictions of the fold's studies."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    torch.manual_seed(job.seed)
    random = np.random.default_rng(job.seed)
    stacks, studies = np.load(job.stacks / "stacks.npy"), np.load(job.stacks / "studies.npy")
    folds = pl.read_parquet(job.tables / "folds.parquet")
    held_out = np.isin(studies, folds.filter(fold=job.fold)["study_id"].to_numpy())
    trained = np.flatnonzero(np.isin(studies, folds["study_id"].to_numpy()) & ~held_out)
    grades = _grades(pl.read_parquet(job.tables / "labels.parquet"), studies)
    model = timm.create_model(
        job.backbone,
        pretrained=False,
        in_chans=stacks.shape[1],
        num_classes=len(_QUESTIONS) * len(GRADES),
    )
    _train(model, stacks, grades, trained, job, random)
    own = np.flatnonzero(held_out)
    return _predict(model.eval(), stacks[own], studies[own])


def _train(
    model: torch.nn.Module,
    stacks: NDArray[np.uint8],
    grades: NDArray[np.int64],
    trained: NDArray[np.int64],
    job: Starter,
    random: np.random.Generator,
) -> None:
    augment = albumentations.Compose(
        [
            albumentations.RandomBrightnessContrast(p=0.5),
            albumentations.Affine(
                translate_percent=0.06, scale=(0.9, 1.1), rotate=(-15, 15), p=0.5
            ),
            albumentations.CoarseDropout(p=0.5),
        ],
        seed=job.seed,
    )
    steps = -(-len(trained) // job.batch_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, job.learning_rate, total_steps=steps * job.epochs
    )
    weights = torch.tensor(GRADE_WEIGHTS, dtype=torch.float32)
    model.train()
    for _ in range(job.epochs):
        order = random.permutation(trained)
        for batch in np.array_split(order, steps):
            images = [augment(image=stacks[study].transpose(1, 2, 0))["image"] for study in batch]
            logits = model(_as_input(np.stack(images).transpose(0, 3, 1, 2)))
            loss = functional.cross_entropy(
                logits.reshape(-1, len(GRADES)),
                torch.from_numpy(grades[batch].reshape(-1)),
                weight=weights,
                ignore_index=_EMPTY,
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


@torch.no_grad()
def _predict(
    model: torch.nn.Module, stacks: NDArray[np.uint8], studies: NDArray[np.int64]
) -> pl.DataFrame:
    found = []
    for stack, study in zip(stacks, studies, strict=True):
        logits = model(_as_input(stack[np.newaxis])).reshape(-1, len(GRADES))
        shares = logits.softmax(-1).double().numpy()
        found.append(
            pl.DataFrame(_QUESTIONS, schema=["condition", "level"], orient="row").with_columns(
                pl.lit(int(study)).alias("study_id"),
                *(pl.Series(name, shares[:, place]) for place, name in enumerate(PROBABILITIES)),
            )
        )
    return with_row_id(pl.concat(found)).select("row_id", *PROBABILITIES)


def _as_input(stacks: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(stacks)).float() / 127.5 - 1


def _grades(labels: pl.DataFrame, studies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (studies, 25) grades, _EMPTY where there is none."""
    asked = pl.DataFrame({"study_id": studies}).join(
        pl.DataFrame(_QUESTIONS, schema=["condition", "level"], orient="row"),
        how="cross",
        maintain_order="left_right",
    )
    found = asked.join(
        labels, on=["study_id", "condition", "level"], how="left", maintain_order="left"
    )
    grades = found["grade"].cast(pl.Int64).fill_null(_EMPTY).to_numpy()
    return grades.reshape(len(studies), len(_QUESTIONS))
