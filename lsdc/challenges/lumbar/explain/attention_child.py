"""The child process of `explain_samples`."""

from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.explain.attention import ExplainJob
from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.training.network import build_model, read_grades
from lsdc.challenges.lumbar.training.samples import as_samples, read_table
from lsdc.challenges.lumbar.training.tta import predict_grades
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device
from lsdc.training.events import ModelPredicting
from lsdc.training.explanation import Explanation, explain, join_explanations
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main
from lsdc.training.trained_fold import WEIGHTS


def work(job: ExplainJob, on_event: OnEvent) -> dict[str, Any]:
    """Explain the job's samples; see `explain.attention.explain_samples`."""
    experiment, device = job.experiment, pick_device(job.device)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    table = read_table(job.crops, job.split)
    model = build_model(experiment, pretrained=False).to(device)
    batch_size = experiment.training.batch_size
    probabilities, explained = [], list[Explanation]()
    for number, (folder, rows) in enumerate(zip(job.models, job.rows, strict=True), start=1):
        asked = pl.DataFrame({"row": rows}, schema={"row": table.schema["row"]})
        shown = asked.join(table, on="row", maintain_order="left")
        whole = _with_context(shown, table, experiment)
        samples = as_samples(job.crops, whole)
        place_of = {row: place for place, row in enumerate(whole["row"])}
        places = [place_of[row] for row in rows]
        restore_weights(model, folder / WEIGHTS, of=experiment.name)
        with advice_when_memory_runs_out(batch_size, device, experiment.memory):
            found = predict_grades(model, samples, experiment, device=device)
            probabilities.append(found[places])
            parts = explain(
                model,
                samples,
                probabilities=partial(read_grades, experiment),
                batch_size=batch_size,
                device=device,
                places=places,
            )
            for done, part in enumerate(parts, start=1):
                explained.append(part)
                on_event(
                    ModelPredicting(
                        model=number, models=len(job.models), done=done, samples=len(places)
                    )
                )
    joined = join_explanations(explained)
    np.savez(
        job.out,
        probabilities=np.concatenate(probabilities),
        weights=joined.weights.astype(np.float32),
        maps=joined.maps.astype(np.float32),
        told=np.zeros(0) if joined.told is None else joined.told.astype(np.float32),
    )
    return {"has_attention": joined.has_attention, "has_told": joined.told is not None}


def _with_context(shown: pl.DataFrame, table: pl.DataFrame, experiment: Experiment) -> pl.DataFrame:
    """Return the samples with all others of their studies that count in the prediction of them."""
    if experiment.model.study_context == "none":
        return shown
    beside = keep_graded(table, experiment.labels).join(shown, on="study_id", how="semi")
    return pl.concat([shown, beside]).unique("row").sort("row")


if __name__ == "__main__":
    child_main(work, ExplainJob)
