"""Training on a GPU: `make gpu-check` runs these tests; without a GPU they are skipped."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lsdc.errors import ResumeLaterError, SettingsError
from lsdc.training.events import Event, StepDone
from lsdc.training.inference import predict_logits
from lsdc.training.models.outputs import Outputs
from lsdc.training.parallel.world import ALONE, World
from lsdc.training.samples import Samples
from tests.training.parallel.together import Trained, require_equal, together, train
from tests.training.runs import SETTINGS, SmallModel, altered, build_model, run, same_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand"),
]

GPU = torch.device("cuda", 0)
MIB = 2**20


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_reduces_the_loss(precision: Any, blobs: Samples, tmp_path: Path) -> None:
    settings = altered(SETTINGS, epochs=8, learning_rate=1e-2, precision=precision)
    progress = run(build_model(), blobs, tmp_path, settings=settings, device="cuda:0")
    assert progress.epochs[-1]["loss"] < 0.9 * progress.epochs[0]["loss"]


def test_model_predicts_the_same_on_gpu_and_cpu(blobs: Samples) -> None:
    model = build_model()
    of_cpu = predict_logits(model, blobs, batch_size=5, device=torch.device("cpu"))
    of_gpu = predict_logits(model.to(GPU), blobs, batch_size=5, device=GPU)
    torch.testing.assert_close(of_gpu.cpu(), of_cpu, rtol=1e-2, atol=1e-2)  # convolutions in TF32


@pytest.mark.forks
def test_stopped_training_resumes_to_the_same_bits(blobs: Samples, tmp_path: Path) -> None:
    settings = altered(SETTINGS, epochs=2, ema_decay=0.9, precision="bfloat16")
    stops: list[int] = []

    def stop(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (1, 2):
            stops.append(1)

    train_here = partial(run, samples=blobs, settings=settings, device="cuda:0", workers=2)
    whole, left = build_model(), build_model()
    train_here(whole, folder=tmp_path / "whole")
    with pytest.raises(ResumeLaterError):
        train_here(
            build_model(),
            folder=tmp_path / "left",
            on_event=stop,
            stop_requested=lambda: bool(stops),
        )
    train_here(left, folder=tmp_path / "left")
    assert same_weights(whole, left)


class Hungry(SmallModel):
    """A model that takes 256 MiB of the GPU for each sample."""

    def forward(self, slices: Tensor, present: Tensor, _: Tensor | None = None) -> Outputs:
        torch.empty(len(slices), 256 * MIB, dtype=torch.uint8, device=slices.device)
        return super().forward(slices, present)


def test_batch_size_that_fits_into_memory_is_named(blobs: Samples, tmp_path: Path) -> None:
    whole = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1400 * MIB / whole, GPU)  # that of five samples
    try:
        with pytest.raises(SettingsError, match=r"training.batch_size = [45] fits"):
            run(Hungry(), blobs, tmp_path, device="cuda:0")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)


def train_on_gpu(world: World, samples: Samples, folder: Path) -> Trained:
    device = f"cuda:{world.rank % torch.cuda.device_count()}"
    return train(world, samples, folder, build_model, device=device)


def test_two_processes_with_batch_norm_train_to_the_weights_of_one(
    blobs: Samples, tmp_path: Path
) -> None:
    """NCCL if there are two GPUs, else gloo on the same one; batch norms are synchronised."""
    one = train_on_gpu(ALONE, blobs, tmp_path / "one")
    work = partial(train_on_gpu, samples=blobs, folder=tmp_path / "two")
    devices = [f"cuda:{rank % torch.cuda.device_count()}" for rank in range(2)]
    for other in together(2, work, devices):
        require_equal(one, other, rounding=1e-2)
    assert np.isfinite(one.epochs[-1]["loss"])
