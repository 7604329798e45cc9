"""The child process of `fit`: trains one fold and predicts it."""

import time
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.fold_data import read_fold
from lsdc.challenges.lumbar.training.network import (
    build_loss,
    build_mixing,
    build_model,
    describe,
    read_grades,
)
from lsdc.challenges.lumbar.training.samples import as_samples
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import restore_weights, save_weights
from lsdc.training.device import pick_device
from lsdc.training.inference import predict_probabilities
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.loop import train
from lsdc.training.models.model import SliceModel
from lsdc.training.process import Tell, child_main
from lsdc.training.settings import TrainingSettings


def work(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Train the job's fold; see `training.train_fold.train_fold`."""
    started = time.monotonic()
    experiment = Experiment.model_validate(job["experiment"])
    seed, out = job["seed"], Path(job["out"])
    device = pick_device(job["device"])
    torch.set_num_threads(job["threads"])

    data = read_fold(
        experiment,
        job["fold"],
        crops=Path(job["crops"]),
        labels=Path(job["labels"]),
        folds=Path(job["folds"]),
        holdout=_path(job["holdout"]),
    )
    torch.manual_seed(seed)
    model = _start_model(experiment, job)
    settings = _settings(experiment)
    probabilities = partial(read_grades, experiment)
    with catch_sigterm() as is_told_to_leave:
        progress = train(
            model,
            data.training(_path(job["fill_from"])),
            data.validation,
            settings,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=probabilities,
            score=data.score,
            seed=seed,
            device=device,
            workers=job["workers"],
            folder=out,
            identity=job["identity"],
            environment=describe(device),
            tell=tell,
            pauses=[out / "pause", out.parent / "pause"],
            is_told_to_leave=is_told_to_leave,
        )
    predict = partial(
        predict_probabilities,
        model,
        probabilities=probabilities,
        batch_size=settings.batch_size,
        device=device,
        precision=getattr(torch, settings.precision),  # as epochs are judged
        on_batch=lambda _: tell({"epoch": settings.epochs, "epochs": settings.epochs}),
    )

    def predict_rows(samples: pl.DataFrame) -> pl.DataFrame:
        found = np.zeros((0, len(CONDITIONS), len(GRADES)))
        if len(samples):
            found = predict(as_samples(data.crops, samples))
        return data.rows(samples, found)

    tables = {
        "unlabelled": data.filling(predict_rows(data.without_label)),
        "holdout": predict_rows(data.held_out),
        "oof": data.beside_labels(predict_rows(data.inside)),
        "steps": pl.DataFrame(progress.steps),
        "history": pl.DataFrame(progress.epochs),
    }
    save_weights(out / "model.safetensors", model.state_dict())
    for name, rows in tables.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            rows.write_parquet(temporary)
    return {
        "fold": data.fold,
        "seed": seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": settings.keep,
        "selected": settings.keep != "last",
        "seconds": time.monotonic() - started,
    }


def _start_model(experiment: Experiment, job: dict[str, Any]) -> SliceModel:
    """The model as training begins: with the weights that the job names, or new ones."""
    pretrained = experiment.model.pretrained and not job["start_from"]
    model = build_model(experiment, pretrained=pretrained, weights=_path(job["weights"]))
    if job["start_from"]:
        restore_weights(model, Path(job["start_from"]), of=f"{experiment.needs.weights}")
    return model


def _settings(experiment: Experiment) -> TrainingSettings:
    config = experiment.training
    return TrainingSettings(
        **{field.name: getattr(config, field.name) for field in fields(TrainingSettings)}
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


if __name__ == "__main__":
    child_main(work)
