"""The child process of `train_fold`: trains one fold and predicts it."""

import time
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch

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
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import restore_weights, save_weights
from lsdc.training.device import pick_device
from lsdc.training.events import Predicting
from lsdc.training.inference import predict_probabilities
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.loop import train
from lsdc.training.models.model import SliceModel
from lsdc.training.process import Tell, child_main


def work(job: FoldJob, tell: Tell) -> dict[str, Any]:
    """Train the job's fold; see `training.train_fold.train_fold`."""
    started = time.monotonic()
    experiment, seed, out = job.experiment, job.seed, job.out
    device = pick_device(job.device)
    torch.set_num_threads(job.threads)

    data = read_fold(
        experiment,
        job.fold,
        crops=job.crops,
        labels=job.labels,
        folds=job.folds,
        holdout=job.holdout,
    )
    torch.manual_seed(seed)
    model = _start_model(job)
    settings = experiment.training
    probabilities = partial(read_grades, experiment)
    with catch_sigterm() as is_told_to_leave:
        progress = train(
            model,
            data.training(job.fill_from),
            data.validation,
            settings,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=probabilities,
            score=data.score,
            seed=seed,
            device=device,
            workers=job.workers,
            folder=out,
            identity=job.identity,
            environment=describe(device),
            tell=tell,
            pauses=[out / "pause", out.parent / "pause"],
            is_told_to_leave=is_told_to_leave,
        )
    at_the_end = Predicting(epoch=settings.epochs, epochs=settings.epochs)
    predict = partial(
        predict_probabilities,
        model,
        probabilities=probabilities,
        batch_size=settings.batch_size,
        device=device,
        precision=getattr(torch, settings.precision),  # as in validation
        on_batch=lambda _: tell(at_the_end),
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


def _start_model(job: FoldJob) -> SliceModel:
    """Build the model with its initial weights: those that the job names, or new ones."""
    pretrained = job.experiment.model.pretrained and job.start_from is None
    model = build_model(job.experiment, pretrained=pretrained, weights=job.weights)
    if job.start_from is not None:
        restore_weights(model, job.start_from, of=f"{job.experiment.needs.weights}")
    return model


if __name__ == "__main__":
    child_main(work, FoldJob)
