"""The child process of a trial."""

from collections.abc import Callable
from typing import Any

import torch

from lsdc.jobs.models import Build, M, open_device, start_model
from lsdc.jobs.trial import BaseTrialJob
from lsdc.training.oom import advice_when_memory_runs_out


def try_here(
    job: BaseTrialJob, build: Build[M], show: Callable[[M, torch.device], None]
) -> dict[str, Any]:
    """Try the job's model in this process; see `lsdc.jobs.trial.try_model`.

    Args:
        job: the trial.
        build: builds the model.
        show: runs the model, which is on the device, on two samples of noise.
    """
    device = open_device(job.device, job.threads)
    model = start_model(
        build,
        job.experiment,
        pretrained=job.pretrained,
        weights=job.weights,
        start_from=job.start_from,
    )
    with advice_when_memory_runs_out(2, device, job.experiment.memory):
        show(model.to(device), device)
    return {}
