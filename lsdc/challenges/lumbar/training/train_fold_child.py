"""The child process of `train_fold`: trains one fold, unless it is trained, and predicts it."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.fold_data import FoldData, read_folds
from lsdc.challenges.lumbar.training.network import (
    build_loss,
    build_mixing,
    build_model,
    read_grades,
)
from lsdc.challenges.lumbar.training.samples import as_samples
from lsdc.challenges.lumbar.training.train_fold import DOUBTED, FoldJob
from lsdc.challenges.lumbar.training.tta import predict_grades
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.messages import counted
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import Progress, restore_weights, save_weights
from lsdc.training.device import describe, pick_device
from lsdc.training.events import Predicting, Warned
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.loop import Training
from lsdc.training.models.model import SliceModel
from lsdc.training.parallel.world import join_world
from lsdc.training.process import OnEvent, child_main, ignore


def work(job: FoldJob, on_event: OnEvent) -> dict[str, Any]:
    """Train and predict the job's fold; see `training.train_fold.train_fold`.

    Of several processes that train together, the first one reports, predicts and writes.

    Returns:
        The record of the training; empty if the fold is only predicted, or by another process.
    """
    started = time.monotonic()
    device = pick_device(job.device)
    torch.set_num_threads(job.threads)
    data = read_folds(
        job.experiment,
        job.left_out,
        crops=job.crops,
        labels=job.labels,
        folds=job.folds,
        holdout=job.holdout,
        marks=job.marks,
    )
    if job.is_trained:
        model = build_model(job.experiment, pretrained=False).to(device)
        restore_weights(model, job.out / "model.safetensors", of=job.experiment.name)
        _predict(model, data, job, device, on_event)
        return {}
    torch.manual_seed(job.seed)
    model = _start_model(job)
    say = on_event if job.rank == 0 else ignore
    doubted = data.doubted(job.judges)
    if doubted is not None:
        say(Warned(text=f"leaves out {counted(len(doubted), 'label')} that its judges doubt"))
    progress = _train(model, data, doubted, job, device, say)
    if job.rank > 0:
        return {}
    _predict(model, data, job, device, on_event)
    save_weights(job.out / "model.safetensors", model.state_dict())
    _write(pl.DataFrame(progress.steps), job.out / "steps.parquet")
    _write(pl.DataFrame(progress.epochs), job.out / "history.parquet")
    if doubted is not None:
        _write(doubted, job.out / DOUBTED)
    return {
        "fold": job.fold,
        "seed": job.seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": job.experiment.training.keep,
        "selected": job.experiment.training.keep != "last",
        "doubted": 0 if doubted is None else len(doubted),
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
    model: SliceModel,
    data: FoldData,
    doubted: pl.DataFrame | None,
    job: FoldJob,
    device: torch.device,
    on_event: OnEvent,
) -> Progress:
    """Train the model in place on the other folds, without the doubted labels."""
    experiment, out = job.experiment, job.out
    with (
        catch_sigterm() as stop_requested,
        join_world(
            job.rank,
            job.processes,
            meeting=job.meeting,
            device=device,
            wait_minutes=experiment.training.stall_minutes,
        ) as world,
    ):
        return Training(
            model=model,
            train_samples=data.training(job.fill_from, doubted),
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
            environment={**describe(device), "world_size": world.size},
            on_event=on_event,
            pauses=[out / "pause", out.parent / "pause"],
            stop_requested=stop_requested,
            world=world,
        ).run()


def _predict(
    model: SliceModel, data: FoldData, job: FoldJob, device: torch.device, on_event: OnEvent
) -> None:
    """Write the predictions of the trained model."""
    epochs = job.experiment.training.epochs
    at_the_end = Predicting(epoch=epochs, epochs=epochs)

    def predict(samples: pl.DataFrame) -> pl.DataFrame:
        found = np.zeros((0, len(CONDITIONS), len(GRADES)))
        if len(samples):
            found = predict_grades(
                model,
                as_samples(data.crops, samples),
                job.experiment,
                device=device,
                on_batch=lambda _: on_event(at_the_end),
            )
        return data.rows(samples, found)

    unlabelled = data.filling(predict(data.without_label))
    _write(unlabelled, job.out / "unlabelled.parquet")
    _write(predict(data.held_out), job.out / "holdout.parquet")
    _write(data.beside_labels(predict(data.inside)), job.out / "oof.parquet")


def _write(rows: pl.DataFrame, path: Path) -> None:
    with write_atomic(path) as temporary:
        rows.write_parquet(temporary)


if __name__ == "__main__":
    child_main(work, FoldJob)
