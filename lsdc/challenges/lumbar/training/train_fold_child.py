"""The child process of `FoldJob`: trains one fold, unless it is trained, and predicts it."""

import time
from functools import partial
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
from lsdc.jobs.fold_child import (
    describe_training,
    fold_training,
    new_model,
    tell_predicting,
    trained_model,
    write_trained,
)
from lsdc.jobs.models import open_device
from lsdc.messages import counted
from lsdc.store.exact_names import write_parquet
from lsdc.training.checkpoint import Progress
from lsdc.training.events import Warned
from lsdc.training.models.model import SliceModel
from lsdc.training.process import OnEvent, child_main


def work(job: FoldJob, on_event: OnEvent) -> dict[str, Any]:
    """Train and predict the job's fold; see `lsdc.jobs.fold.train_fold`.

    Of several processes that train together, the first one reports, predicts and writes.

    Returns:
        The record of the training; empty if the fold is only predicted, or by another process.
    """
    began, device = time.monotonic(), open_device(job.device, job.threads)
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
        _predict(trained_model(job, build_model, device), data, job, device, on_event)
        return {}
    model = new_model(job, build_model)
    doubted = data.doubted(job.judges)
    if doubted is not None and job.rank == 0:
        said = f"leaves out {counted(len(doubted), 'label')} that its judges doubt"
        on_event(Warned(text=said))
    progress = _train(model, data, doubted, job, device, on_event)
    if job.rank > 0:
        return {}
    _predict(model, data, job, device, on_event)
    write_trained(job.out, model, progress)
    if doubted is not None:
        write_parquet(doubted, job.out / DOUBTED)
    return describe_training(
        fold=job.fold,
        seed=job.seed,
        device=device,
        progress=progress,
        keep=job.experiment.training.keep,
        began=began,
        doubted=0 if doubted is None else len(doubted),
    )


def _train(
    model: SliceModel,
    data: FoldData,
    doubted: pl.DataFrame | None,
    job: FoldJob,
    device: torch.device,
    on_event: OnEvent,
) -> Progress:
    """Train the model in place on the other folds, without the doubted labels."""
    experiment = job.experiment
    with fold_training(job, device, on_event) as training:
        return training(
            model=model,
            train_samples=data.training(job.fill_from, doubted),
            val_samples=data.validation,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=partial(read_grades, experiment),
            score=data.score,
        ).run()


def _predict(
    model: SliceModel, data: FoldData, job: FoldJob, device: torch.device, on_event: OnEvent
) -> None:
    """Write the predictions of the trained model."""

    def predict(samples: pl.DataFrame) -> pl.DataFrame:
        found = np.zeros((0, len(CONDITIONS), len(GRADES)))
        if len(samples):
            found = predict_grades(
                model,
                as_samples(data.crops, samples),
                job.experiment,
                device=device,
                on_batch=tell_predicting(job, on_event),
            )
        return data.rows(samples, found)

    unlabelled = data.filling(predict(data.without_label))
    write_parquet(unlabelled, job.out / "unlabelled.parquet")
    write_parquet(predict(data.held_out), job.out / "holdout.parquet")
    write_parquet(data.beside_labels(predict(data.inside)), job.out / "oof.parquet")


if __name__ == "__main__":
    child_main(work, FoldJob)
