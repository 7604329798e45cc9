"""Batch norms that get one value per channel, so that the variance is zero.

Batches are formed so that no sample is left over if the model cannot train on a single one. Where
a norm still sees one value, as with a batch size of one or a batch in which a single sample has
axial slices, it uses its running statistics.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lsdc.training.samples import Batch, SampleSet, batch_of

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def last_batch_is_too_small(
    model: nn.Module, samples: SampleSet, batch_size: int, device: torch.device
) -> bool:
    """Return whether a batch norm would see one value per channel in an epoch's last batch.

    Tries the samples with the fewest and the most slices; the model is not changed.
    """
    shown = len(samples.units_by("sample"))
    if batch_size == 1 or shown % batch_size != 1:
        return False
    slices = samples.present.sum(axis=1)
    some = np.flatnonzero(slices)
    if not len(some):
        return False
    tried = {int(some[slices[some].argmin()]), int(some[slices[some].argmax()])}
    return any(_is_too_small(model, batch_of(samples, [place]).to(device)) for place in tried)


def use_running_stats_for_single_values(model: nn.Module, say: Callable[[], None]) -> None:
    """Make batch norms that get one value per channel use their running statistics.

    Torch refuses such a batch. `say` is called the first time.
    """
    hooks = _RunningStats(say)
    for norm in _norms_of(model):
        norm.register_forward_pre_hook(hooks.before)
        norm.register_forward_hook(hooks.after, always_call=True)


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether a model normalises by the other samples of a batch."""
    return bool(_norms_of(model))


class _RunningStats:
    """Hooks that put a norm in evaluation mode while it sees one value per channel."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say: Callable[[], None] | None = say
        self._kept: set[nn.Module] = set()

    def before(self, norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        if norm.training and _is_one_per_channel(given[0]):
            norm.training = False
            self._kept.add(norm)
            if self._say is not None:
                self._say()
                self._say = None

    def after(self, norm: nn.Module, *_: object) -> None:
        if norm in self._kept:
            norm.training = True
            self._kept.remove(norm)


def _is_too_small(model: nn.Module, batch: Batch) -> bool:
    found: list[bool] = []
    handles = [
        norm.register_forward_pre_hook(lambda _, given: found.append(_is_one_per_channel(given[0])))
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


def _is_one_per_channel(given: Tensor) -> bool:
    return given.numel() == given.shape[1]
