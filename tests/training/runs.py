"""Small trainings that tests kill, pause and compare."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.experiments.base import Config
from lsdc.training.checkpoint import Progress
from lsdc.training.loop import Training
from lsdc.training.losses.criterion import Criterion
from lsdc.training.losses.graded import GradedLoss, probabilities_by
from lsdc.training.models.outputs import Outputs
from lsdc.training.parallel.world import ALONE, World
from lsdc.training.process import OnEvent, ignore
from lsdc.training.samples import Augment, Mix, Sample, Samples
from lsdc.training.settings.loss import LossSettings
from lsdc.training.settings.memory import MemorySettings
from lsdc.training.settings.training import TrainingSettings

SETTINGS = TrainingSettings(epochs=3, batch_size=8, learning_rate=3e-3, warmup=0.2)
CRITERION = GradedLoss(LossSettings(), class_weights=(1.0, 2.0, 4.0))

Settings = TypeVar("Settings", bound=Config)


class SmallModel(nn.Module):
    """A small model with batch norm and dropout, as both have state or random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 5, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(4 * 32, 2 * 3)

    def forward(self, slices: Tensor, present: Tensor, _: Tensor | None = None) -> Outputs:
        pixels = (slices.flatten(0, 1).unsqueeze(1).float() - 100) / 50
        features = self.backbone(pixels).unflatten(0, present.shape) * present.unsqueeze(-1)
        return Outputs(self.head(self.dropout(features.flatten(1))).unflatten(1, (2, 3)))


def altered(settings: Settings, **changes: Any) -> Settings:
    """Return validated settings with some of them changed."""
    return type(settings).model_validate(settings.model_dump() | changes)


def build_model() -> SmallModel:
    """Build the same model at each call."""
    torch.manual_seed(0)
    return SmallModel()


def without_batch_norm() -> SmallModel:
    """Build the same model without batch norm, which depends on the batch, at each call."""
    model = build_model()
    model.backbone[1] = nn.Identity()
    return model


def in_studies(samples: Samples, *, repeats: list[int] | None = None) -> Samples:
    """Return the 24 samples as items of 7 studies of 1 to 7 items, not in order."""
    study = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3, *[4] * 6, 5, *[6] * 7])
    members = np.column_stack([study * 100, np.arange(24)])
    order = np.random.default_rng(1).permutation(24)
    times = None if repeats is None else np.array(repeats)
    return replace(samples, members=members[order], repeats=times)


def jitter(sample: Sample, seed: int) -> Sample:
    """Change noise and brightness by the seed."""
    random = np.random.default_rng(seed)
    noise = random.normal(random.normal(0, 10), 10, sample.slices.shape)
    return sample._replace(slices=(sample.slices + noise).clip(0, 255).astype(np.uint8))


def run(
    model: nn.Module,
    samples: Samples,
    folder: Path,
    *,
    settings: TrainingSettings = SETTINGS,
    augment: Augment = jitter,
    mix: Mix = lambda batch, _: batch,
    score: Callable[[NDArray[np.float64]], float] = lambda _: 1.0,
    criterion: Criterion = CRITERION,
    device: str = "cpu",
    workers: int = 0,
    environment: dict[str, Any] | None = None,
    on_event: OnEvent = ignore,
    stop_requested: Callable[[], bool] = lambda: False,
    world: World = ALONE,
) -> Progress:
    """Train and validate on the same samples; write to `folder`."""
    folder.mkdir(exist_ok=True)
    return Training(
        model=model,
        train_samples=samples,
        val_samples=samples,
        settings=settings,
        memory=MemorySettings(("model.backbone", "images.size_px")),
        augment=augment,
        mix=mix,
        probabilities=probabilities_by("cross_entropy"),
        criterion=criterion,
        score=score,
        seed=5,
        device=torch.device(device),
        workers=workers,
        folder=folder,
        identity="test",
        environment=environment or {"threads": 1},
        on_event=on_event,
        pauses=[folder.parent / "pause", folder / "pause"],
        stop_requested=stop_requested,
        world=world,
    ).run()


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Return whether the weights of two models are bit-identical."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
