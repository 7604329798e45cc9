"""Batch norms and what is alone: one value a channel has no spread that a norm could divide by.

Batches are dealt so that no sample is left over where the model cannot do with one. What is alone
for another reason, such as the only sample of a batch that has axial slices, or a batch size of
one, is normed by what was before: by the running means.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lsdc.training.samples import Batch, Samples, batch_of

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def needs_company(
    model: nn.Module, samples: Samples, batch_size: int, device: torch.device
) -> bool:
    """Whether an epoch leaves a sample over, which would leave a batch norm one value a channel.

    The samples with the fewest and with the most slices are tried; the model stays as it is.
    """
    shown = len(samples) if samples.repeats is None else int(samples.repeats.sum())
    if batch_size == 1 or shown % batch_size != 1:
        return False
    slices = samples.present.sum(axis=1)
    some = np.flatnonzero(slices)
    if not len(some):
        return False
    asked = {int(some[slices[some].argmin()]), int(some[slices[some].argmax()])}
    return any(_is_alone(model, batch_of(samples, [place]).to(device)) for place in asked)


def norm_by_running_means(model: nn.Module, say: Callable[[], None]) -> None:
    """Have batch norms that are given one value a channel go by their running means; say it once.

    Torch refuses such a batch.
    """
    keeper = _Keeper(say)
    for norm in _norms_of(model):
        norm.register_forward_pre_hook(keeper.before)
        norm.register_forward_hook(keeper.after, always_call=True)


class _Keeper:
    """Keeps a norm from learning while it sees what is alone."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say: Callable[[], None] | None = say
        self._kept: set[nn.Module] = set()

    def before(self, norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        if norm.training and _is_one_a_channel(given[0]):
            norm.training = False
            self._kept.add(norm)
            if self._say is not None:
                self._say()
                self._say = None

    def after(self, norm: nn.Module, *_: object) -> None:
        if norm in self._kept:
            norm.training = True
            self._kept.remove(norm)


def _is_alone(model: nn.Module, batch: Batch) -> bool:
    found: list[bool] = []
    handles = [
        norm.register_forward_pre_hook(lambda _, given: found.append(_is_one_a_channel(given[0])))
        for norm in _norms_of(model)
    ]
    learns = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(batch.slices, batch.present)
    finally:
        for handle in handles:
            handle.remove()
        model.train(learns)
    return any(found)


def _norms_of(model: nn.Module) -> list[nn.Module]:
    return [
        module
        for module in model.modules()
        if isinstance(module, _NORMS) and module.running_mean is not None
    ]


def _is_one_a_channel(given: Tensor) -> bool:
    return given.numel() == given.shape[1]
