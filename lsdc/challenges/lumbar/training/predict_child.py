"""The child process of `PredictJob`."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.challenges.lumbar.training.samples import as_rows, as_samples, read_table
from lsdc.challenges.lumbar.training.tta import predict_grades
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.jobs.models import open_device
from lsdc.jobs.predict_child import OnBatch, predict_mean
from lsdc.training.models.model import SliceModel
from lsdc.training.process import OnEvent, child_main


def work(job: PredictJob, on_event: OnEvent) -> dict[str, Any]:
    """Predict with the job's models; see `lsdc.jobs.predict.predict`."""
    experiment, device = job.experiment, open_device(job.device, job.threads)
    table = keep_graded(read_table(job.crops, "test"), experiment.labels)
    samples = as_samples(job.crops, table)

    def predict(_: int, model: SliceModel, on_batch: OnBatch) -> NDArray[np.float64]:
        return predict_grades(model, samples, experiment, device=device, on_batch=on_batch)

    def graded(found: NDArray[np.float64]) -> pl.DataFrame:
        return keep_graded(as_rows(table, found), experiment.labels)

    return predict_mean(
        job,
        build_model,
        predict,
        graded,
        shape=(len(samples), len(CONDITIONS), len(GRADES)),
        samples=len(samples),
        device=device,
        on_event=on_event,
    )


if __name__ == "__main__":
    child_main(work, PredictJob)
