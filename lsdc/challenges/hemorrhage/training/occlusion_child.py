"""The child process of `map_occlusion`."""

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from lsdc.challenges.hemorrhage.training.network import build_model, read_probabilities
from lsdc.challenges.hemorrhage.training.occlusion import OcclusionJob
from lsdc.challenges.hemorrhage.training.samples import as_samples, read_slices
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device
from lsdc.training.events import ModelPredicting
from lsdc.training.explanation import explain
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main
from lsdc.training.trained_fold import WEIGHTS


def work(job: OcclusionJob, on_event: OnEvent) -> dict[str, Any]:
    """Map the job's slices; see `training.occlusion.map_occlusion`."""
    experiment, device = job.experiment, pick_device(job.device)
    table = read_slices(job.slices)
    model = build_model(experiment, pretrained=False).to(device)
    batch_size = experiment.training.batch_size
    found = []
    for number, (folder, rows) in enumerate(zip(job.models, job.rows, strict=True), start=1):
        restore_weights(model, folder / WEIGHTS, of=experiment.name)
        asked = pl.DataFrame({"row": rows}, schema={"row": table.schema["row"]})
        shown = asked.join(table, on="row", maintain_order="left")
        with advice_when_memory_runs_out(batch_size, device, experiment.memory):
            parts = explain(
                model,
                as_samples(job.slices, shown, experiment),
                probabilities=_each_label,
                batch_size=batch_size,
                device=device,
                whole_images=True,
            )
            for done, part in enumerate(parts, start=1):
                # (1, labels, channels, cells, cells): all channels are one image and have one map.
                found.append(part.maps[0, :, 0])
                on_event(
                    ModelPredicting(
                        model=number, models=len(job.models), done=done, samples=len(rows)
                    )
                )
    np.save(job.out, np.stack(found).astype(np.float32))
    return {"slices": len(found)}


def _each_label(logits: Tensor) -> Tensor:
    """Return the probabilities (n, labels, 2) of the absence and presence of each label."""
    present = read_probabilities(logits)[:, 0]
    return torch.stack([1 - present, present], dim=-1)


if __name__ == "__main__":
    child_main(work, OcclusionJob)
