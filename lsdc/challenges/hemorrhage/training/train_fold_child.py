"""The child process of `FoldJob`: trains one fold, unless it is trained, and predicts it."""

import time
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.training.augment import SliceAugment
from lsdc.challenges.hemorrhage.training.fold_data import FoldData, read_fold
from lsdc.challenges.hemorrhage.training.network import (
    build_loss,
    build_mixing,
    build_model,
    read_probabilities,
)
from lsdc.challenges.hemorrhage.training.samples import NAMES, as_samples
from lsdc.challenges.hemorrhage.training.train_fold import VECTORS, FoldJob
from lsdc.challenges.hemorrhage.training.tta import predict_labels
from lsdc.challenges.hemorrhage.training.vectors import write_vectors
from lsdc.jobs.fold_child import (
    describe_training,
    fold_training,
    new_model,
    tell_predicting,
    trained_model,
    write_trained,
)
from lsdc.jobs.models import open_device
from lsdc.store.exact_names import write_parquet
from lsdc.training.checkpoint import Progress
from lsdc.training.models.model import SliceModel
from lsdc.training.process import OnEvent, child_main


def work(job: FoldJob, on_event: OnEvent) -> dict[str, Any]:
    """Train and predict the job's fold; see `lsdc.jobs.fold.train_fold`.

    Of several processes that train together, the first one reports, predicts and writes.

    Returns:
        The record of the training; empty if the fold is only predicted, or by another process.
    """
    began, device = time.monotonic(), open_device(job.device, job.threads)
    data = read_fold(
        job.experiment,
        job.fold,
        slices=job.slices,
        labels=job.labels,
        folds=job.folds,
        holdout=job.holdout,
    )
    if job.is_trained:
        _predict(trained_model(job, build_model, device), data, job, device, on_event)
        return {}
    model = new_model(job, build_model)
    progress = _train(model, data, job, device, on_event)
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
            on_batch=tell_predicting(job, on_event),
        )
    _predict(model, data, job, device, on_event)
    write_trained(job.out, model, progress)
    return describe_training(
        fold=job.fold,
        seed=job.seed,
        device=device,
        progress=progress,
        keep=job.experiment.training.keep,
        began=began,
        slices=len(data.outside),
        trained_on=len(data.learnt),
    )


def _train(
    model: SliceModel, data: FoldData, job: FoldJob, device: torch.device, on_event: OnEvent
) -> Progress:
    """Train the model in place on the other folds."""
    experiment = job.experiment
    with fold_training(job, device, on_event) as training:
        return training(
            model=model,
            train_samples=data.training,
            val_samples=data.validation,
            augment=SliceAugment(experiment.augment),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=read_probabilities,
            score=data.score,
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
            on_batch=tell_predicting(job, on_event),
        )

    write_parquet(data.beside_held_out(predict(data.held_out)), job.out / "holdout.parquet")
    write_parquet(data.beside_labels(predict(data.inside)), job.out / "oof.parquet")


if __name__ == "__main__":
    child_main(work, FoldJob)
