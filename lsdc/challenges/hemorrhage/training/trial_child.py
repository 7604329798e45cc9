"""The child process of `trial`."""

from typing import Any

import torch

from lsdc.challenges.hemorrhage.training.network import build_model
from lsdc.challenges.hemorrhage.training.trial import TrialJob
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
    _, rows, columns = experiment.slices.shape
    with advice_when_memory_runs_out(2, device):
        show_noise(
            model.to(device),
            slices=experiment.channels,
            shape=(rows, columns),
            backbones=[experiment.model.backbone],
            slices_as="channels",
            training=experiment.training,
            device=device,
            remedy="a larger slices.size_px",
        )
    return {}


if __name__ == "__main__":
    child_main(work, TrialJob)
