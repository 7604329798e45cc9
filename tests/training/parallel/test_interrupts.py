"""Several processes that train together stop together, and resume with the same result."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.errors import ResumeLaterError, SettingsError
from lsdc.training.checkpoint import load_progress
from lsdc.training.events import Event, StepDone
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.parallel.world import World
from lsdc.training.samples import Samples
from tests.training.parallel.together import Group, together
from tests.training.runs import SETTINGS, altered, run, without_batch_norm

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("one_thread")]

EVERYTHING = altered(SETTINGS, epochs=2, batch_size=5, checkpoint_steps=2, ema_decay=0.9)


def train(world: World, samples: Samples, folder: Path, stop_at: int = 0) -> dict[str, NDArray]:
    """Train; the last process gets SIGTERM at this step of the first epoch."""

    def stop(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (1, stop_at):
            os.kill(os.getpid(), signal.SIGTERM)

    def ignore(_: Event) -> None:
        pass

    is_last = world.rank == world.size - 1
    model = without_batch_norm()
    with catch_sigterm() as stop_requested:
        run(
            model,
            samples,
            folder,
            settings=EVERYTHING,
            world=world,
            on_event=stop if is_last else ignore,
            stop_requested=stop_requested,
        )
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def test_training_stopped_in_one_process_resumes_in_all_to_the_same_bits(
    blobs: Samples, tmp_path: Path
) -> None:
    train_here = partial(train, samples=blobs)
    whole = together(2, lambda world: train_here(world, folder=tmp_path / "whole"))

    def stopped(world: World) -> str:
        with pytest.raises(ResumeLaterError) as stop:
            train_here(world, folder=tmp_path / "left", stop_at=3)
        return str(stop.value)

    assert all("saving a checkpoint" in text for text in together(2, stopped))
    saved = load_progress(tmp_path / "left" / "resume.pt", "test")
    assert (saved.epoch, saved.step) == (0, 3)
    resumed = together(2, lambda world: train_here(world, folder=tmp_path / "left"))
    for weights in (*resumed, whole[1]):
        for name, expected in whole[0].items():
            np.testing.assert_array_equal(weights[name], expected)


def test_training_fails_in_all_processes_if_one_dies(blobs: Samples, tmp_path: Path) -> None:
    def train_or_die(world: World) -> None:
        def die(event: Event) -> None:
            if world.rank == 1 and isinstance(event, StepDone) and event.step == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        run(without_batch_norm(), blobs, tmp_path, settings=EVERYTHING, world=world, on_event=die)

    group = Group(2, train_or_die, ["cpu"] * 2)
    with pytest.raises(AssertionError, match="Connection"):
        group.results()


def test_batch_size_that_fits_is_found_without_the_other_processes(
    blobs: Samples, tmp_path: Path
) -> None:
    """Memory runs out in one process alone, for more than two samples of its share."""

    def train_or_run_out(world: World) -> str:
        model = without_batch_norm()

        def allocate(_: nn.Module, images: tuple[Tensor, ...]) -> None:
            if world.rank == 1 and len(images[0]) > 2 * 4:  # 4 slices a sample
                raise torch.OutOfMemoryError("CUDA out of memory")

        model.backbone[0].register_forward_pre_hook(allocate)
        settings = altered(SETTINGS, batch_size=8)
        try:
            run(model, blobs, tmp_path, settings=settings, world=world)
        except SettingsError as error:
            return str(error)
        except RuntimeError:
            return "left alone"
        return "trained"

    left, refused = together(2, train_or_run_out)
    assert "training.batch_size = 8 does not fit" in refused
    assert "training.batch_size = 4 fits" in refused
    assert left == "left alone"
