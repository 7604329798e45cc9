"""The child process of `train_fold`: trains one fold, unless it is trained, and predicts it."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.training.augment import SliceAugment
from lsdc.challenges.hemorrhage.training.files import VECTORS
from lsdc.challenges.hemorrhage.training.fold_data import FoldData, read_fold
from lsdc.challenges.hemorrhage.training.network import (
    build_loss,
    build_mixing,
    build_model,
    read_probabilities,
)
from lsdc.challenges.hemorrhage.training.samples import NAMES, as_samples
from lsdc.challenges.hemorrhage.training.train_fold import FoldJob
from lsdc.challenges.hemorrhage.training.tta import predict_labels
from lsdc.challenges.hemorrhage.training.vectors import write_vectors
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import Progress, restore_weights, save_weights
from lsdc.training.device import describe, pick_device
from lsdc.training.events import Predicting
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
    data = read_fold(
        job.experiment,
        job.fold,
        slices=job.slices,
        labels=job.labels,
        folds=job.folds,
        holdout=job.holdout,
    )
    if job.is_trained:
        model = build_model(job.experiment, pretrained=False).to(device)
        restore_weights(model, job.out / "model.safetensors", of=job.experiment.name)
        _predict(model, data, job, device, on_event)
        return {}
    torch.manual_seed(job.seed)
    model = _start_model(job)
    progress = _train(model, data, job, device, on_event if job.rank == 0 else ignore)
    if job.rank > 0:
        return {}
    if job.experiment.sequence.kind != "none":
        write_vectors(
            job.out / VECTORS,
            model,
            data.slices,
            data.every,
            job.experiment,
            device=device,
            on_batch=lambda _: on_event(_at_the_end(job)),
        )
    _predict(model, data, job, device, on_event)
    save_weights(job.out / "model.safetensors", model.state_dict())
    _write(pl.DataFrame(progress.steps), job.out / "steps.parquet")
    _write(pl.DataFrame(progress.epochs), job.out / "history.parquet")
    return {
        "fold": job.fold,
        "seed": job.seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": job.experiment.training.keep,
        "selected": job.experiment.training.keep != "last",
        "slices": len(data.outside),
        "trained_on": len(data.learnt),
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
            train_samples=data.training,
            val_samples=data.validation,
            settings=experiment.training,
            augment=SliceAugment(experiment.augment),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=read_probabilities,
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

    def predict(table: pl.DataFrame) -> NDArray[np.float64]:
        if not len(table):
            return np.zeros((0, len(NAMES)))
        return predict_labels(
            model,
            as_samples(data.slices, table, job.experiment),
            job.experiment,
            device=device,
            on_batch=lambda _: on_event(_at_the_end(job)),
        )

    _write(data.beside_held_out(predict(data.held_out)), job.out / "holdout.parquet")
    _write(data.beside_labels(predict(data.inside)), job.out / "oof.parquet")


def _at_the_end(job: FoldJob) -> Predicting:
    epochs = job.experiment.training.epochs
    return Predicting(epoch=epochs, epochs=epochs)


def _write(rows: pl.DataFrame, path: Path) -> None:
    with write_atomic(path) as temporary:
        rows.write_parquet(temporary)


if __name__ == "__main__":
    child_main(work, FoldJob)
