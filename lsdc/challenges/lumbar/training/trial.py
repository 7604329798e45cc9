"""A trial of an experiment's model, in a child process, before hours go into what it is shown.

What a child alone can know, since it imports torch and timm: whether timm has the backbone, whether
its weights are to be had, whether it takes images of that size, on this device.
"""

import json
import socket
from pathlib import Path

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.store.files import write_atomic
from lsdc.store.fingerprint import fingerprint, fingerprint_code, fingerprint_libraries
from lsdc.training.models.weights import find_weights
from lsdc.training.process import Job, run_child

CHILD = "lsdc.challenges.lumbar.training.trial_child"


class TrialJob(Job):
    """A trial of a model.

    Attributes:
        experiment: whose model.
        weights: see `lsdc.training.models.backbone.create_backbone`.
        pretrained: whether it is to have learnt before.
        start_from: weights of `experiment.needs.weights` that it has to have room for.
        device: "auto", "cpu", "cuda" or what else torch knows.
    """

    experiment: Experiment
    weights: Path | None = None
    pretrained: bool
    start_from: Path | None = None
    device: str
    threads: int


def try_model(job: TrialJob, *, kept: Path, log: Path) -> None:
    """Build the model and show it two samples of noise; once on a host for what it is made of.

    Weights of timm's hub are asked for each time: they may be out of reach since, or out of its
    cache.

    Args:
        job: what is tried.
        kept: a JSON file that names the trials that went well.
        log: file that the child's words are appended to.

    Raises:
        SettingsError: it cannot be built, or does not take such samples; no such device.
        StageError: the child died, or the weights to start from are not this model's.
    """
    key = _key(job)
    passed = _passed(kept)
    if key in passed:
        return
    run_child(CHILD, job, log=log, stall_minutes=job.experiment.training.stall_minutes)
    if job.pretrained and job.weights is None:
        return
    with write_atomic(kept) as temporary:
        temporary.write_text(json.dumps([*passed, key], indent=1), encoding="utf-8")


def _key(job: TrialJob) -> str:
    experiment = job.experiment
    files = [] if job.start_from is None else [job.start_from]
    if job.weights is not None and job.pretrained:
        files += [find_weights(job.weights, name) for name in experiment.model.backbones]
    status = [file.stat() for file in files]
    return fingerprint(
        {
            "model": experiment.model,
            "slices": experiment.slices,
            "size_px": experiment.crops.size_px,
            "level_weight": experiment.loss.level_weight,
            "precision": experiment.training.precision,
            "files": [
                [str(file), own.st_size, own.st_mtime_ns]
                for file, own in zip(files, status, strict=True)
            ],
            "pretrained": job.pretrained,
            "device": job.device,
            "host": socket.gethostname(),
            "code": fingerprint_code([CHILD]),
            "libraries": fingerprint_libraries(["timm", "torch"]),
        }
    )


def _passed(kept: Path) -> list[str]:
    try:
        return list(json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []
