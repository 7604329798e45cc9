"""The child process of `PredictJob`."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.training.network import build_model
from lsdc.challenges.hemorrhage.training.predict import PredictJob
from lsdc.challenges.hemorrhage.training.samples import NAMES, as_rows, as_samples, read_slices
from lsdc.challenges.hemorrhage.training.sequence import build_second, predict_second
from lsdc.challenges.hemorrhage.training.stacks import read_vectors
from lsdc.challenges.hemorrhage.training.train_fold import VECTORS
from lsdc.challenges.hemorrhage.training.tta import predict_labels
from lsdc.challenges.hemorrhage.training.vectors import columns_of, write_vectors
from lsdc.jobs.models import open_device
from lsdc.jobs.predict_child import OnBatch, predict_mean
from lsdc.store.exact_names import read_parquet
from lsdc.training.checkpoint import restore_weights
from lsdc.training.models.model import SliceModel
from lsdc.training.process import OnEvent, child_main
from lsdc.training.trained_fold import WEIGHTS


def work(job: PredictJob, on_event: OnEvent) -> dict[str, Any]:
    """Predict with the job's models; see `lsdc.jobs.predict.predict`."""
    device, every = open_device(job.device, job.threads), read_slices(job.slices)
    table = every
    if job.images is not None:
        images = read_parquet(job.images, columns=["image_id"])
        table = every.join(images, on="image_id", how="semi", maintain_order="left")

    def predict(number: int, model: SliceModel, on_batch: OnBatch) -> NDArray[np.float64]:
        sequence = job.sequences[number] if job.sequences else None
        return _predict(model, sequence, job, every, table, device, on_batch)

    return predict_mean(
        job,
        build_model,
        predict,
        partial(as_rows, table),
        shape=(len(table), len(NAMES)),
        samples=len(every),
        device=device,
        on_event=on_event,
    )


def _predict(
    model: SliceModel,
    sequence: Path | None,
    job: PredictJob,
    every: pl.DataFrame,
    table: pl.DataFrame,
    device: torch.device,
    on_batch: OnBatch,
) -> NDArray[np.float64]:
    """Return the probabilities (n, 6) of a table's slices by one fold's models.

    `sequence` is the folder of its sequence model, if it has one.
    """
    experiment = job.experiment
    if sequence is None:
        samples = as_samples(job.slices, table, experiment)
        return predict_labels(model, samples, experiment, device=device, on_batch=on_batch)
    second = build_second(experiment)
    restore_weights(second, sequence / WEIGHTS, of=experiment.name)
    with tempfile.TemporaryDirectory(dir=job.out.parent, prefix=".vectors-") as temporary:
        path = Path(temporary) / VECTORS
        write_vectors(path, model, job.slices, every, experiment, device=device, on_batch=on_batch)
        vectors = read_vectors(path, len(every), columns_of(experiment))
        found = predict_second(second, every, table, vectors, experiment, device=device)
    own: NDArray[np.float64] = found[table["row"].to_numpy()]
    return own


if __name__ == "__main__":
    child_main(work, PredictJob)
