"""The training engine on random samples in memory, timed on a CPU or a GPU."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.network import (
    build_loss,
    build_mixing,
    build_model,
    read_grades,
)
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.training.events import StepDone
from lsdc.training.loop import Training
from lsdc.training.models.encoder import Encoder
from lsdc.training.models.model import SliceModel
from lsdc.training.samples import Batch, Labels, Samples

NOISE = 128  # different samples
FOLD_SAMPLES = 7_400  # training samples of a fold of the competition


def make_samples(experiment: Experiment, count: int = NOISE) -> Samples:
    """Return random samples of the size of the experiment's crops; NOISE of them are repeated."""
    random = np.random.default_rng(0)
    (rows, columns), slices = experiment.crops.shape, experiment.slices.count
    return Samples(
        slices=random.integers(0, 256, (min(count, NOISE), slices, rows, columns), dtype=np.uint8),
        rows=np.arange(count) % NOISE,
        present=np.ones((count, slices), dtype=bool),
        labels=Labels(random.integers(0, len(GRADES), (count, len(CONDITIONS)))),
        ids=tuple(str(number) for number in range(count)),
    )


def start_model(experiment: Experiment, *, compiled: str | None = None) -> SliceModel:
    """Build the experiment's model, not pretrained, the same at each call.

    `compiled` is the backend by which torch.compile compiles its backbones; None compiles nothing.
    """
    torch.manual_seed(0)
    model = build_model(experiment, pretrained=False)
    if compiled is not None:
        for encoder in model.encoders:
            cast(Encoder, encoder).backbone.compile(backend=compiled)
    return model


class Timing(NamedTuple):
    """When each step of a training had its data, and when it ended."""

    loaded: list[float]
    ended: list[float]


def time_training(
    experiment: Experiment,
    model: SliceModel,
    train_samples: Samples,
    val_samples: Samples,
    *,
    clock: Callable[[], float],
    device: torch.device,
    workers: int = 0,
) -> Timing:
    """Time the steps of one epoch of `lsdc.training.loop.Training`."""
    timing, mixing = Timing([], []), build_mixing(experiment)

    def mix(batch: Batch, seed: int) -> Batch:
        if len(timing.loaded) == len(timing.ended):  # the first batch of a step
            timing.loaded.append(clock())
        return mixing(batch, seed)

    with tempfile.TemporaryDirectory() as folder:
        Training(
            model=model,
            train_samples=train_samples,
            val_samples=val_samples,
            settings=experiment.training.model_copy(update={"epochs": 1}),
            memory=experiment.memory,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=mix,
            criterion=build_loss(experiment),
            probabilities=partial(read_grades, experiment),
            score=lambda _: 0.0,
            seed=0,
            device=device,
            workers=workers,
            folder=Path(folder),
            identity="benchmark",
            environment={},
            on_event=lambda event: (
                timing.ended.append(clock()) if isinstance(event, StepDone) else None
            ),
        ).run()
    return timing


def time_engine(
    experiment: Experiment,
    samples: Samples,
    *,
    clock: Callable[[], float],
    device: torch.device | None = None,
    workers: int = 0,
    start: Callable[[Experiment], SliceModel] = start_model,
) -> list[float]:
    """Return the times at which the steps of one epoch of the engine ended."""
    one = replace(
        samples,
        rows=samples.rows[:1],
        present=samples.present[:1],
        labels=samples.labels.map(lambda column: column[:1]),
    )
    timing = time_training(
        experiment,
        start(experiment),
        samples,
        one,
        clock=clock,
        device=device or torch.device("cpu"),
        workers=workers,
    )
    return timing.ended


def measure_on(
    device: torch.device,
    experiment: Experiment,
    *,
    steps: int,
    workers: int,
    start: Callable[[Experiment], SliceModel] = start_model,
) -> dict[str, Any]:
    """Compare the engine with a bare loop over one batch that is on the device already.

    The difference is at most the time that the device waits for data. The first steps of both,
    which choose kernels and fill queues, are not counted. `start` builds the model of each.

    Returns: figures by name: samples per second of both, their ratio, peak memory in GiB, minutes
        for a fold of the competition.
    """
    batch_size = experiment.training.batch_size
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    samples = make_samples(experiment, steps * batch_size)
    engine = time_engine(
        experiment,
        samples,
        clock=time.perf_counter,
        device=device,
        workers=workers,
        start=start,
    )
    bare = _time_bare_loop(device, experiment, samples, steps, start(experiment))
    ours, theirs = (batch_size / _seconds_a_step(moments) for moments in (engine, bare))
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    epochs = experiment.training.epochs
    return {
        "gpu_engine_samples_a_second": round(ours, 1),
        "gpu_bare_loop_samples_a_second": round(theirs, 1),
        "gpu_ratio": round(ours / theirs, 3),
        "gpu_peak_gib": peak and round(peak, 2),
        "gpu_fold_minutes": round(epochs * FOLD_SAMPLES / ours / 60, 1),
    }


def _seconds_a_step(moments: list[float]) -> float:
    lasting = np.diff(moments)
    return float(statistics.median(lasting[len(lasting) // 3 :].tolist()))


def _time_bare_loop(
    device: torch.device, experiment: Experiment, samples: Samples, steps: int, model: SliceModel
) -> list[float]:
    config = experiment.training
    model.train().to(device)
    criterion, precision = build_loss(experiment), getattr(torch, config.precision)
    optimiser = torch.optim.AdamW(model.parameters(), config.learning_rate)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    rows = samples.rows[: config.batch_size]
    slices = torch.from_numpy(samples.slices[rows]).to(device)
    present = torch.from_numpy(samples.present[: len(rows)]).to(device)
    labels = Labels(torch.from_numpy(samples.labels.grades[: len(rows)]).to(device))
    moments = []
    for _ in range(steps):
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            outputs = model(slices, present)
        loss = criterion(outputs.map(torch.Tensor.float), labels)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
        loss.item()  # waits for the device, as the engine does to report the loss
        moments.append(time.perf_counter())
    return moments
