"""The child process of `trial`."""

from typing import Any

import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.trial import TrialJob
from lsdc.errors import SettingsError
from lsdc.training.checkpoint import restore_weights
from lsdc.training.device import pick_device
from lsdc.training.models.model import SliceModel
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import OnEvent, child_main

_REFUSALS = (ValueError, RuntimeError, TypeError, LookupError, AssertionError)


def work(job: TrialJob, on_event: OnEvent) -> dict[str, Any]:  # noqa: ARG001  # reports no progress
    """Try the job's model; see `training.trial.try_model`."""
    experiment, device = job.experiment, pick_device(job.device)
    torch.set_num_threads(job.threads)
    model = build_model(experiment, pretrained=job.pretrained, weights=job.weights)
    if job.start_from is not None:
        restore_weights(model, job.start_from, of=f"{experiment.needs.weights}")
    with advice_when_memory_runs_out(2, device):
        _show_noise(model.to(device), experiment, device)
    return {}


@torch.no_grad()
def _show_noise(model: SliceModel, experiment: Experiment, device: torch.device) -> None:
    (rows, columns), places = experiment.crops.shape, len(list_places(experiment.slices))
    precision = getattr(torch, experiment.training.precision)
    slices = torch.randint(0, 256, (2, places, rows, columns), dtype=torch.uint8, device=device)
    present = torch.ones(2, places, dtype=torch.bool, device=device)
    try:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            model.train()(slices, present)
            model.eval()(slices[:1], present[:1])  # the last batch of a prediction may be one
    except torch.OutOfMemoryError:
        raise
    except _REFUSALS as error:
        if "allocate memory" in str(error):
            raise
        raise SettingsError(
            f"model.backbone: {' and '.join(experiment.model.backbones)} cannot be trained on "
            f"slices of {columns} x {rows} px, {experiment.model.slices_as}, in "
            f"{experiment.training.precision} ({str(error).strip().partition(chr(10))[0]}); try a "
            "larger crops.size_px, another model.backbone, or training.precision float32"
        ) from error


if __name__ == "__main__":
    child_main(work, TrialJob)
