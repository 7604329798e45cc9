"""The optimiser and its learning rate schedule."""

import math
from collections.abc import Sequence
from typing import Any

from timm.optim import Lookahead
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, RAdam
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from lsdc.errors import SettingsError
from lsdc.training.models.named_backbones import named_backbones
from lsdc.training.settings.training import TrainingSettings

_FIRST_SHARE = 0.01  # fraction of the learning rate at which warm-up starts


Learning = Sequence[Tensor] | Sequence[dict[str, Any]]
"""The parameters that an optimiser changes, or groups of them, each with settings of its own."""


def group_parameters(model: nn.Module, settings: TrainingSettings) -> Learning:
    """Return the parameters of a model; with `backbone_learning_rate`, those of backbones last.

    Raises:
        SettingsError: the model has no backbone with a learning rate of its own.
    """
    if settings.backbone_learning_rate is None:
        return list(model.parameters())
    of_backbones = [
        parameter for _, each in named_backbones(model) for parameter in each.parameters()
    ]
    if not of_backbones:
        raise SettingsError(
            f"training.backbone_learning_rate {settings.backbone_learning_rate}: the "
            f"{type(model).__name__} has no backbone; expected none"
        )
    known = set(map(id, of_backbones))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    backbones: dict[str, Any] = {"params": of_backbones, "lr": settings.backbone_learning_rate}
    return [{"params": rest}, backbones]


def build_optimiser(parameters: Learning, settings: TrainingSettings) -> Optimizer:
    """Build AdamW, RAdam or Ranger; parameters share all settings that their group does not have.

    Ranger is RAdam with lookahead: Zhang et al. 2019, https://arxiv.org/abs/1907.08610, with the
    paper's 6 steps and half of the way.
    """
    lr, betas, weight_decay = settings.learning_rate, settings.betas, settings.weight_decay
    if settings.optimiser == "adamw":
        return AdamW(parameters, lr, betas, weight_decay=weight_decay)
    radam = RAdam(parameters, lr, betas, weight_decay=weight_decay, decoupled_weight_decay=True)
    if settings.optimiser == "radam":
        return radam
    ranger: Optimizer = Lookahead(radam)
    return ranger


def build_schedule(optimiser: Optimizer, settings: TrainingSettings, updates: int) -> LRScheduler:
    """Build the learning rate schedule for a number of updates, stepped after each.

    Each group of parameters has the same share of its own peak.

    "cosine" rises linearly, stays at its peak for the fraction `flat` and falls along half a cosine
    to zero. "one_cycle" rises and falls along cosines, with momentum inverse to it (Smith and Topin
    2018, https://arxiv.org/abs/1708.07120).

    >>> settings = TrainingSettings(warmup=0.5)
    >>> schedule = build_schedule(build_optimiser([Tensor([0.0])], settings), settings, updates=4)
    >>> [round(schedule.lr_lambdas[0](update), 3) for update in range(5)]  # shares of the peak
    [0.01, 0.505, 1.0, 0.5, 0.0]
    """
    if settings.schedule == "one_cycle":
        share = settings.warmup
        if share * updates == 1:  # the first update is at the peak; torch would divide by zero
            share *= 1 - 1e-9
        peaks = [group["lr"] for group in optimiser.param_groups]
        return OneCycleLR(optimiser, peaks, total_steps=updates, pct_start=share)
    rising, flat = (round(share * updates) for share in (settings.warmup, settings.flat))

    def share_of_peak(update: int) -> float:
        if update < rising:
            return _FIRST_SHARE + (1 - _FIRST_SHARE) * update / rising
        fallen = max(0, update - rising - flat) / max(1, updates - rising - flat)
        return (1 + math.cos(math.pi * fallen)) / 2

    return LambdaLR(optimiser, share_of_peak)
