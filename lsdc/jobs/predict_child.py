"""The child process of a prediction: the mean over the models of the folds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.jobs.models import Build, M
from lsdc.jobs.predict import BasePredictJob
from lsdc.store.exact_names import write_parquet
from lsdc.training.checkpoint import restore_weights
from lsdc.training.events import ModelPredicting
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent
from lsdc.training.trained_fold import WEIGHTS

Floats = NDArray[np.float64]
OnBatch = Callable[[int], None]


def predict_mean(
    job: BasePredictJob,
    build: Build[M],
    predict: Callable[[int, M, OnBatch], Floats],
    as_rows: Callable[[Floats], pl.DataFrame],
    *,
    shape: tuple[int, ...],
    samples: int,
    device: torch.device,
    on_event: OnEvent,
) -> dict[str, Any]:
    """Predict with each of the job's models, and write the mean; see `lsdc.jobs.predict.predict`.

    Args:
        job: the prediction.
        build: builds the model of the folds, into which their weights are loaded in turn.
        predict: returns the probabilities by a model, given its number and what to call with the
            number of samples done.
        as_rows: returns probabilities as a table.
        shape: the shape of the probabilities; without samples to predict, no model is used.
        samples: the number of samples that a model reads, for the progress.
        device: the device.
        on_event: receives the progress of each model.
    """
    folders = job.models if shape[0] else ()
    model = build(job.experiment, pretrained=False).to(device)
    total, alone = np.zeros(shape), []
    for number, folder in enumerate(folders):
        restore_weights(model, folder / WEIGHTS, of=job.experiment.name)

        def on_batch(done: int, place: int = number + 1) -> None:
            on_event(ModelPredicting(model=place, models=len(folders), done=done, samples=samples))

        settings = job.experiment
        with advice_when_memory_runs_out(settings.training.batch_size, device, settings.memory):
            found = predict(number, model, on_batch)
        total += found
        alone.append(as_rows(found).with_columns(model=pl.lit(number, pl.Int32)))
    rows = as_rows(total / max(len(folders), 1))
    write_parquet(rows, job.out)
    if job.by_fold is not None:
        empty = rows.clear().with_columns(model=pl.lit(None, pl.Int32))
        write_parquet(pl.concat([empty, *alone]), job.by_fold)
    return {"rows": len(rows)}
