"""The parts of the child process of a fold's training, of which each challenge builds its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import nn

from lsdc.jobs.fold import BaseFoldJob
from lsdc.jobs.models import Build, M, start_model
from lsdc.store.exact_names import write_parquet
from lsdc.training.checkpoint import Progress, restore_weights, save_weights
from lsdc.training.device import describe
from lsdc.training.events import Predicting
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.loop import Training
from lsdc.training.parallel.world import join_world
from lsdc.training.process import OnEvent, ignore
from lsdc.training.settings.training import Keep
from lsdc.training.trained_fold import HISTORY, STEPS, WEIGHTS


def new_model(job: BaseFoldJob, build: Build[M]) -> M:
    """Set torch's seed, and build the model with its initial weights; see `start_model`."""
    torch.manual_seed(job.seed)
    return start_model(
        build,
        job.experiment,
        pretrained=bool(job.experiment.pretrained_backbones) and job.start_from is None,
        weights=job.weights,
        start_from=job.start_from,
    )


def trained_model(job: BaseFoldJob, build: Build[M], device: torch.device) -> M:
    """Build the model, on the device, with the weights that an earlier training wrote.

    Raises:
        StageError: the weights cannot be read, or are another model's.
    """
    model = build(job.experiment, pretrained=False).to(device)
    restore_weights(model, job.out / WEIGHTS, of=job.experiment.name)
    return model


@contextmanager
def fold_training(
    job: BaseFoldJob, device: torch.device, on_event: OnEvent
) -> Iterator[Callable[..., Training]]:
    """Connect the processes of a training, and let SIGTERM end it with a checkpoint.

    Of several processes that train together, the first one reports.

    Yields:
        `Training` with all that the job says; model, samples, augment, mix, criterion,
        probabilities and score are to be given.
    """
    settings, out = job.experiment.training, job.out
    with (
        catch_sigterm() as stop_requested,
        join_world(
            job.rank,
            job.processes,
            meeting=job.meeting,
            device=device,
            wait_minutes=settings.stall_minutes,
        ) as world,
    ):
        yield partial(
            Training,
            settings=settings,
            memory=job.experiment.memory,
            seed=job.seed,
            device=device,
            workers=job.workers,
            folder=out,
            identity=job.identity,
            environment={**describe(device), "world_size": world.size},
            on_event=on_event if job.rank == 0 else ignore,
            pauses=[out / "pause", out.parent / "pause"],
            stop_requested=stop_requested,
            world=world,
        )


def tell_predicting(job: BaseFoldJob, on_event: OnEvent) -> Callable[[int], None]:
    """Return what tells of each batch that the trained model predicts, given the samples done."""
    epochs = job.experiment.training.epochs
    at_the_end = Predicting(epoch=epochs, epochs=epochs)
    return lambda _: on_event(at_the_end)


def write_trained(out: Path, model: nn.Module, progress: Progress) -> None:
    """Write the weights of a trained model, and its steps and epochs as tables."""
    save_weights(out / WEIGHTS, model.state_dict())
    write_parquet(pl.DataFrame(progress.steps), out / STEPS)
    write_parquet(pl.DataFrame(progress.epochs), out / HISTORY)


def describe_training(
    *,
    fold: int,
    seed: int,
    device: torch.device,
    progress: Progress,
    keep: Keep,
    began: float,
    **further: Any,
) -> dict[str, Any]:
    """Return the record of a training.

    Args:
        fold: the fold that was not trained on.
        seed: random seed of weights, order and augmentation.
        device: the device.
        progress: the end of the training.
        keep: which epoch is kept.
        began: when it began, of `time.monotonic`.
        further: what else is recorded.
    """
    return {
        "fold": fold,
        "seed": seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": keep,
        "selected": keep != "last",
        **further,
        "seconds": time.monotonic() - began,
    }
