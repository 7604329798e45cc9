"""The child process of `trial`."""

from typing import Any

import torch

from lsdc.challenges.ink.training.network import build_network
from lsdc.challenges.ink.training.trial import TrialJob
from lsdc.jobs.trial_child import try_here
from lsdc.training.models.dense.model import DenseModel
from lsdc.training.models.noise import show_noise
from lsdc.training.process import OnEvent, child_main


def work(job: TrialJob, on_event: OnEvent) -> dict[str, Any]:  # noqa: ARG001  # reports no progress
    """Try the job's network; see `lsdc.jobs.trial.try_model`."""
    experiment = job.experiment
    tiles = experiment.tiles

    def show(network: DenseModel, device: torch.device) -> None:
        show_noise(
            network,
            slices=tiles.layers,
            shape=(tiles.size_px, tiles.size_px),
            backbones=[experiment.model.backbone],
            slices_as="channels",
            training=experiment.training,
            device=device,
            remedy="another tiles.size_px",
        )

    return try_here(job, build_network, show)


if __name__ == "__main__":
    child_main(work, TrialJob)
