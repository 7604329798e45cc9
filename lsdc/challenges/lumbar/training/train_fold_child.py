"""The child process of `train_fold`: trains one fold and predicts it."""

import time
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch

from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.fold_data import FoldData, read_fold
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
from lsdc.training.checkpoint import Progress, restore_weights, save_weights
from lsdc.training.device import pick_device
from lsdc.training.events import Predicting
from lsdc.training.inference import as_array, predict_logits
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.loop import Training
from lsdc.training.models.model import SliceModel
from lsdc.training.process import OnEvent, child_main


def work(job: FoldJob, on_event: OnEvent) -> dict[str, Any]:
    """Train the job's fold; see `training.train_fold.train_fold`."""
    started = time.monotonic()
    experiment, out, device = job.experiment, job.out, pick_device(job.device)
    torch.set_num_threads(job.threads)
    data = read_fold(
        experiment,
        job.fold,
        crops=job.crops,
        labels=job.labels,
        folds=job.folds,
        holdout=job.holdout,
    )
    torch.manual_seed(job.seed)
    model = _start_model(job)
    progress = _train(model, data, job, device, on_event)
    tables = _predict(model, data, device, on_event) | {
        "steps": pl.DataFrame(progress.steps),
        "history": pl.DataFrame(progress.epochs),
    }
    save_weights(out / "model.safetensors", model.state_dict())
    for name, rows in tables.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            rows.write_parquet(temporary)
    return {
        "fold": data.fold,
        "seed": job.seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": experiment.training.keep,
        "selected": experiment.training.keep != "last",
        "seconds": time.monotonic() - started,
    }


def _start_model(job: FoldJob) -> SliceModel:
    """Build the model with its initial weights: those that the job names, or new ones."""
    pretrained = job.experiment.model.pretrained and job.start_from is None
    model = build_model(job.experiment, pretrained=pretrained, weights=job.weights)
    if job.start_from is not None:
        restore_weights(model, job.start_from, of=f"{job.experiment.needs.weights}")
    return model


def _train(
    model: SliceModel, data: FoldData, job: FoldJob, device: torch.device, on_event: OnEvent
) -> Progress:
    """Train the model in place on the other folds."""
    experiment, out = job.experiment, job.out
    with catch_sigterm() as stop_requested:
        return Training(
            model=model,
            train_samples=data.training(job.fill_from),
            val_samples=data.validation,
            settings=experiment.training,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=partial(read_grades, experiment),
            score=data.score,
            seed=job.seed,
            device=device,
            workers=job.workers,
            folder=out,
            identity=job.identity,
            environment=describe(device),
            on_event=on_event,
            pauses=[out / "pause", out.parent / "pause"],
            stop_requested=stop_requested,
        ).run()


def _predict(
    model: SliceModel, data: FoldData, device: torch.device, on_event: OnEvent
) -> dict[str, pl.DataFrame]:
    """Return the predictions of the trained model, by the name of their table."""
    settings = data.experiment.training
    at_the_end = Predicting(epoch=settings.epochs, epochs=settings.epochs)

    def predict(samples: pl.DataFrame) -> pl.DataFrame:
        found = np.zeros((0, len(CONDITIONS), len(GRADES)))
        if len(samples):
            logits = predict_logits(
                model,
                as_samples(data.crops, samples),
                batch_size=settings.batch_size,
                device=device,
                precision=getattr(torch, settings.precision),  # as in validation
                on_batch=lambda _: on_event(at_the_end),
            )
            found = as_array(read_grades(data.experiment, logits.double()))
        return data.rows(samples, found)

    return {
        "unlabelled": data.filling(predict(data.without_label)),
        "holdout": predict(data.held_out),
        "oof": data.beside_labels(predict(data.inside)),
    }


if __name__ == "__main__":
    child_main(work, FoldJob)
