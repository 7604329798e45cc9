"""The child process of `predict`."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.training.files import VECTORS, WEIGHTS
from lsdc.challenges.hemorrhage.training.network import build_model
from lsdc.challenges.hemorrhage.training.predict import PredictJob
from lsdc.challenges.hemorrhage.training.samples import NAMES, as_rows, as_samples, read_slices
from lsdc.challenges.hemorrhage.training.sequence import build_second, predict_second
from lsdc.challenges.hemorrhage.training.stacks import read_vectors
from lsdc.challenges.hemorrhage.training.tta import predict_labels
from lsdc.challenges.hemorrhage.training.vectors import columns_of, write_vectors
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device
from lsdc.training.events import ModelPredicting
from lsdc.training.models.model import SliceModel
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main


def work(job: PredictJob, on_event: OnEvent) -> dict[str, Any]:
    """Predict with the job's models; see `training.predict.predict`."""
    experiment, device = job.experiment, pick_device(job.device)
    torch.set_num_threads(job.threads)
    every = read_slices(job.slices)
    table = every
    if job.images is not None:
        images = read_parquet(job.images, columns=["image_id"])
        table = every.join(images, on="image_id", how="semi", maintain_order="left")
    model = build_model(experiment, pretrained=False).to(device)
    total, alone = np.zeros((len(table), len(NAMES))), []
    folders = job.models if len(table) else ()
    for number, folder in enumerate(folders, start=1):
        restore_weights(model, folder / WEIGHTS, of=experiment.name)

        def on_batch(done: int, number: int = number) -> None:
            on_event(
                ModelPredicting(model=number, models=len(folders), done=done, samples=len(every))
            )

        with advice_when_memory_runs_out(experiment.training.batch_size, device):
            second = job.sequences[number - 1] if job.sequences else None
            found = _predict(model, second, job, every, table, device, on_batch)
        total += found
        alone.append(as_rows(table, found).with_columns(model=pl.lit(number - 1, pl.Int32)))
    rows = as_rows(table, total / max(len(folders), 1))
    _write(rows, job.out)
    if job.by_fold is not None:
        empty = rows.clear().with_columns(model=pl.lit(None, pl.Int32))
        _write(pl.concat([empty, *alone]), job.by_fold)
    return {"rows": len(rows)}


def _predict(
    model: SliceModel,
    sequence: Path | None,
    job: PredictJob,
    every: pl.DataFrame,
    table: pl.DataFrame,
    device: torch.device,
    on_batch: Callable[[int], None],
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


def _write(rows: pl.DataFrame, path: Path) -> None:
    with write_atomic(path) as temporary:
        rows.write_parquet(temporary)


if __name__ == "__main__":
    child_main(work, PredictJob)
