"""Mixup and CutMix of the samples and labels of a batch.

timm's Mixup uses global random state, and supports neither masks nor several labels per sample.
Here the result is a function of the batch's seed.
"""

import math

import numpy as np
import torch
from torch import Tensor

from lsdc.training.losses import as_probabilities_of
from lsdc.training.samples import Batch, Labels
from lsdc.training.settings.augment import MixSettings


class Mixing:
    """Mix a batch as a function of the seed.

    Labels become probabilities: grades of `classes` classes, the group one of `groups`. The mixing
    fraction is drawn once per batch; a sample keeps the larger fraction of itself, and the slices
    that it had. A slice that the other sample lacks is not mixed.
    """

    def __init__(self, settings: MixSettings, classes: int, groups: int = 0) -> None:
        self._settings, self._classes, self._groups = settings, classes, groups

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Return the batch, mixed or unchanged, on its device."""
        settings = self._settings
        random = np.random.default_rng(seed)
        drawn = random.random()
        if drawn < settings.mixup:
            return self._mixup(batch, random)
        if drawn < settings.mixup + settings.cutmix:
            return self._cutmix(batch, random)
        return batch

    def _mixup(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Blend samples: Zhang et al. 2018, https://arxiv.org/abs/1710.09412."""
        other, own_share = _other(batch, random), _own_share(self._settings.mixup_alpha, random)
        slices = _shares(batch.slices)
        blend = own_share * slices + (1 - own_share) * slices[other]
        both = (batch.present & batch.present[other])[..., None, None]
        return self._with(batch, torch.where(both, blend, slices), other, own_share)

    def _cutmix(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Paste one box for all slices: Yun et al. 2019, https://arxiv.org/abs/1905.04899."""
        other, own_share = _other(batch, random), _own_share(self._settings.cutmix_alpha, random)
        height, width = batch.slices.shape[-2:]
        rows = _span(height, math.sqrt(1 - own_share), random)
        columns = _span(width, math.sqrt(1 - own_share), random)
        box = torch.zeros(height, width, dtype=torch.bool, device=batch.slices.device)
        box[rows, columns] = True
        both = (batch.present & batch.present[other])[..., None, None]
        slices = torch.where(box & both, batch.slices[other], batch.slices)
        own_share = 1 - float(box.float().mean())  # the exact fraction, in whole pixels
        return self._with(batch, slices, other, own_share)

    def _with(self, batch: Batch, slices: Tensor, other: Tensor, own_share: float) -> Batch:
        grades, group, marks = batch.labels
        labels = Labels(
            grades=as_probabilities_of(grades, self._classes),
            group=None if group is None else as_probabilities_of(group, self._groups),
            slices=marks,
        )
        mixed = labels.map(lambda shares: own_share * shares + (1 - own_share) * shares[other])
        if mixed.slices is not None:  # a slice that the sample lacks is not mixed in
            mixed = mixed._replace(slices=mixed.slices * batch.present.unsqueeze(1))
        return batch._replace(slices=slices, labels=mixed)


def _other(batch: Batch, random: np.random.Generator) -> Tensor:
    """Return for each sample the index of the one that is mixed in."""
    return torch.from_numpy(random.permutation(len(batch.slices))).to(batch.slices.device)


def _own_share(alpha: float, random: np.random.Generator) -> float:
    share = float(random.beta(alpha, alpha))
    return max(share, 1 - share)


def _span(length: int, share: float, random: np.random.Generator) -> slice:
    """Return a random slice of that fraction of the pixels."""
    pixels = round(share * length)
    start = int(random.integers(length - pixels + 1))
    return slice(start, start + pixels)


def _shares(slices: Tensor) -> Tensor:
    """Return grey values from 0 to 1, float32."""
    return slices if slices.is_floating_point() else slices.float() / 255
