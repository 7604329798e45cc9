"""The child process of `trial`."""

from typing import Any

import torch

from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.trial import TrialJob
from lsdc.jobs.trial_child import try_here
from lsdc.training.models.model import SliceModel
from lsdc.training.models.noise import show_noise
from lsdc.training.process import OnEvent, child_main


def work(job: TrialJob, on_event: OnEvent) -> dict[str, Any]:  # noqa: ARG001  # reports no progress
    """Try the job's model; see `lsdc.jobs.trial.try_model`."""
    experiment = job.experiment
    settings = experiment.model
    seen_as = settings.slices_as if settings.encoder == "slices" else "volumes"

    def show(model: SliceModel, device: torch.device) -> None:
        show_noise(
            model,
            slices=len(list_places(experiment.slices)),
            shape=experiment.crops.shape,
            backbones=settings.backbones,
            slices_as=seen_as,
            training=experiment.training,
            device=device,
            remedy="a larger crops.size_px",
        )

    return try_here(job, build_model, show)


if __name__ == "__main__":
    child_main(work, TrialJob)
