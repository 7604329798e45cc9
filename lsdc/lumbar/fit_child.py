"""The child process of `fit`: trains one fold and predicts it."""

import math
import time
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.errors import StageError
from lsdc.experiments.config import Experiment
from lsdc.lumbar.metric import score as competition_score
from lsdc.lumbar.network import build_loss, build_mixing, build_model, describe, read_grades
from lsdc.lumbar.patient_augment import PatientAugment
from lsdc.lumbar.samples import as_rows, as_samples, read_table
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import restore_weights, save_weights
from lsdc.training.device import pick_device
from lsdc.training.inference import predict_probabilities
from lsdc.training.loop import train
from lsdc.training.orders import leaving_on_sigterm
from lsdc.training.process import Tell, child_main
from lsdc.training.settings import TrainingSettings


def work(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Train the job's fold; see `lsdc.lumbar.fit.train_fold`."""
    started = time.monotonic()
    experiment = Experiment.model_validate(job["experiment"])
    fold, seed, out = job["fold"], job["seed"], Path(job["out"])
    device = pick_device(job["device"])
    torch.set_num_threads(job["threads"])

    labels = pl.read_parquet(job["labels"])
    table = read_table(Path(job["crops"]), "train").join(
        pl.read_parquet(job["folds"]), on="study_id", maintain_order="left"
    )
    inside, outside = table.filter(fold=fold), table.filter(pl.col("fold") != fold)
    if not len(inside) or not len(outside):
        raise StageError(
            f"fold {fold}: {len(inside)} samples to predict and {len(outside)} to train on, "
            "expected both; use fewer folds, or more studies that have images"
        )
    validation = as_samples(Path(job["crops"]), inside, labels)
    training = as_samples(Path(job["crops"]), outside, labels)
    known = labels.join(inside, on=["study_id", "level"], how="semi")

    def score(found: NDArray[np.float64]) -> float:
        if not known["grade"].count():
            return math.nan  # nothing to score by in this fold
        return competition_score(known, as_rows(inside, found)).score

    torch.manual_seed(seed)
    model = build_model(experiment, pretrained=experiment.model.pretrained)
    if job["start_from"]:
        restore_weights(model, Path(job["start_from"]), of=f"{experiment.needs.weights}")
    config = experiment.training
    settings = TrainingSettings(
        **{field.name: getattr(config, field.name) for field in fields(TrainingSettings)}
    )
    probabilities = partial(read_grades, experiment)
    with leaving_on_sigterm() as is_told_to_leave:
        progress = train(
            model,
            training,
            validation,
            settings,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=probabilities,
            score=score,
            seed=seed,
            device=device,
            workers=job["workers"],
            folder=out,
            identity=job["identity"],
            environment=describe(device),
            tell=tell,
            is_told_to_leave=is_told_to_leave,
        )
    found = predict_probabilities(
        model,
        validation,
        probabilities,
        batch_size=settings.batch_size,
        device=device,
        on_batch=lambda _: tell({"epoch": settings.epochs, "epochs": settings.epochs}),
    )

    save_weights(out / "model.safetensors", model.state_dict())
    grades = labels.rename({"grade": "label"})
    oof = as_rows(inside, found).join(
        grades, on=["study_id", "condition", "level"], how="left", maintain_order="left"
    )
    oof = oof.with_columns(fold=pl.lit(fold, dtype=pl.Int32))
    order = ["row_id", "study_id", "condition", "level", "fold", "label"]
    with write_atomic(out / "oof.parquet") as temporary:
        oof.select(*order, pl.exclude(order)).write_parquet(temporary)
    for name, rows in (("steps.parquet", progress.steps), ("history.parquet", progress.epochs)):
        with write_atomic(out / name) as temporary:
            pl.DataFrame(rows).write_parquet(temporary)
    return {
        "fold": fold,
        "seed": seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": settings.keep,
        "selected": settings.keep != "last",
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    child_main(work)
