"""A trial of an experiment's model in a child process, before hours are spent on its input.

Only a child process, which imports torch and timm, can check that timm has the backbone, that its
weights are available, and that it accepts images of that size on this device.
"""

import json
import socket
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lsdc.store.files import write_text
from lsdc.store.fingerprint import fingerprint, fingerprint_code, fingerprint_libraries
from lsdc.training.models.weights import find_weights
from lsdc.training.process import Job, run_child

if TYPE_CHECKING:
    from lsdc.jobs.experiment import TrainedExperiment


class BaseTrialJob(Job):
    """A trial of a model; each challenge adds `experiment`, and what enters the model.

    Attributes:
        child: the module of the child process; it calls `lsdc.jobs.trial_child`.
        libraries: the libraries that models are built from; a trial is repeated with others.
        weights: path of pretrained weights; see `lsdc.training.models.backbone.create_backbone`.
        pretrained: whether to load pretrained weights.
        start_from: weights of `experiment.needs.weights` that the model must be able to load.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads.
    """

    child: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]] = ("timm", "torch")

    weights: Path | None = None
    pretrained: bool
    start_from: Path | None = None
    device: str
    threads: int

    if TYPE_CHECKING:  # a field of each challenge, of its own type

        @property
        def experiment(self) -> TrainedExperiment: ...

    @property
    @abstractmethod
    def task(self) -> Mapping[str, Any]:
        """What the model depends on besides `experiment.model`: its input and its outputs."""


def try_model(job: BaseTrialJob, *, kept: Path, log: Path) -> None:
    """Build the model and run it on two samples of noise; once per host and model settings.

    A model with weights from the Hugging Face Hub is tried each time: the hub may
    have become unreachable, or its cache been cleared.

    Args:
        job: the trial.
        kept: a JSON file that lists the passed trials.
        log: the file that the child's output is appended to.

    Raises:
        SettingsError: the model cannot be built or rejects such samples, or no such device exists.
        StageError: the child died, or the weights to start from do not fit this model.
    """
    key = _key(job)
    passed = _passed(kept)
    if key in passed:
        return
    run_child(job.child, job, log=log, stall_minutes=job.experiment.training.stall_minutes)
    if job.pretrained and job.weights is None:
        return
    write_text(kept, json.dumps([*passed, key], indent=1))


def _key(job: BaseTrialJob) -> str:
    experiment = job.experiment
    files = [] if job.start_from is None else [job.start_from]
    if job.weights is not None and job.pretrained:
        files += [find_weights(job.weights, name) for name in experiment.pretrained_backbones]
    status = [file.stat() for file in files]
    return fingerprint(
        {
            "model": experiment.model,
            **job.task,
            "precision": experiment.training.precision,
            "files": [
                [str(file), own.st_size, own.st_mtime_ns]
                for file, own in zip(files, status, strict=True)
            ],
            "pretrained": job.pretrained,
            "device": job.device,
            "host": socket.gethostname(),
            "code": fingerprint_code([job.child]),
            "libraries": fingerprint_libraries(job.libraries),
        }
    )


def _passed(kept: Path) -> list[str]:
    try:
        return list(json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []
