"""The child process of `trial`."""

from typing import Any

import torch

from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.trial import TrialJob
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device
from lsdc.training.models.noise import show_noise
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main


def work(job: TrialJob, on_event: OnEvent) -> dict[str, Any]:  # noqa: ARG001  # reports no progress
    """Try the job's model; see `training.trial.try_model`."""
    experiment, device = job.experiment, pick_device(job.device)
    torch.set_num_threads(job.threads)
    model = build_model(experiment, pretrained=job.pretrained, weights=job.weights)
    if job.start_from is not None:
        restore_weights(model, job.start_from, of=f"{experiment.needs.weights}")
    with advice_when_memory_runs_out(2, device):
        show_noise(
            model.to(device),
            slices=len(list_places(experiment.slices)),
            shape=experiment.crops.shape,
            backbones=experiment.model.backbones,
            slices_as=experiment.model.slices_as,
            training=experiment.training,
            device=device,
            remedy="a larger crops.size_px",
        )
    return {}


if __name__ == "__main__":
    child_main(work, TrialJob)
