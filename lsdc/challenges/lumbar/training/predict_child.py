"""The child process of `predict`."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.challenges.lumbar.training.samples import as_rows, as_samples, read_table
from lsdc.challenges.lumbar.training.tta import predict_grades
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device
from lsdc.training.events import ModelPredicting
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main


def work(job: PredictJob, on_event: OnEvent) -> dict[str, Any]:
    """Predict with the job's models; see `training.predict.predict`."""
    experiment, device = job.experiment, pick_device(job.device)
    torch.set_num_threads(job.threads)
    table = keep_graded(read_table(job.crops, "test"), experiment.labels)
    samples = as_samples(job.crops, table)
    model = build_model(experiment, pretrained=False).to(device)

    total = np.zeros((len(samples), len(CONDITIONS), len(GRADES)))
    alone = []
    folders = job.models if len(samples) else ()
    for number, folder in enumerate(folders, start=1):
        restore_weights(model, folder / "model.safetensors", of=experiment.name)

        def on_batch(done: int, number: int = number) -> None:
            on_event(
                ModelPredicting(model=number, models=len(folders), done=done, samples=len(samples))
            )

        with advice_when_memory_runs_out(experiment.training.batch_size, device):
            found = predict_grades(model, samples, experiment, device=device, on_batch=on_batch)
        total += found
        alone.append(as_rows(table, found).with_columns(model=pl.lit(number - 1, pl.Int32)))

    rows = keep_graded(as_rows(table, total / max(len(folders), 1)), experiment.labels)
    _write(rows, job.out)
    if job.by_fold is not None:
        empty = rows.clear().with_columns(model=pl.lit(None, pl.Int32))
        _write(keep_graded(pl.concat([empty, *alone]), experiment.labels), job.by_fold)
    return {"rows": len(rows)}


def _write(rows: pl.DataFrame, path: Path) -> None:
    with write_atomic(path) as temporary:
        rows.write_parquet(temporary)


if __name__ == "__main__":
    child_main(work, PredictJob)
