"""The parts of a training whose state is saved in checkpoints: model, optimiser and others."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsdc.training.schedule import build_optimiser, build_schedule, group_parameters
from lsdc.training.settings.training import TrainingSettings


@dataclass(frozen=True)
class Parts:
    """The parts of a training that have state.

    Attributes:
        scaler: loss scaler against float16 underflow; disabled for other precisions.
        average: moving average of the model's weights; None without one.
    """

    model: nn.Module
    optimiser: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    average: ModelEmaV3 | None

    @property
    def eval_model(self) -> nn.Module:
        """The model that is evaluated and kept."""
        return self.average.module if self.average else self.model

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state dict of each part, by name."""
        return {name: part.state_dict() for name, part in vars(self).items() if part is not None}

    def load(self, states: dict[str, dict[str, Any]]) -> None:
        """Load state dicts returned by `states`."""
        for name, state in states.items():
            getattr(self, name).load_state_dict(state)


def build_parts(
    model: nn.Module, settings: TrainingSettings, steps: int, device: torch.device
) -> Parts:
    """Build the parts for a new training with this number of steps.

    Raises:
        SettingsError: see `group_parameters`.
    """
    optimiser = build_optimiser(group_parameters(model, settings), settings)
    decay = settings.ema_decay
    return Parts(
        model=model,
        optimiser=optimiser,
        schedule=build_schedule(optimiser, settings, steps),
        scaler=torch.amp.GradScaler(device.type, enabled=settings.precision == "float16"),
        # Without warm-up of the decay, the first steps dominate the average of a short training.
        average=None if decay is None else ModelEmaV3(model, decay, use_warmup=True),
    )
